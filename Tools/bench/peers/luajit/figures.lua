-- The switching figures on LuaJIT's coroutines.
--
--     luajit figures.lua NAME COUNT
--
-- Where a figure asks for no more than a switch, coroutines resume each other directly. Channels and a
-- queue of runnable coroutines, which Lua does not have, stand here in the shortest form that does the
-- work. The answer is a Python literal on the last line, as from worker.py. Exit status 4: no such figure.

local clock, create, resume, running = os.clock, coroutine.create, coroutine.resume, coroutine.running
local wrap, yield = coroutine.wrap, coroutine.yield

-- The queue of runnable coroutines: ready[first] runs next; message[co] is what it receives.
local ready, first, last = {}, 1, 0
local message = {}

local function enqueue(co)
    last = last + 1
    ready[last] = co
end

local function spawn(f)
    enqueue(create(f))
end

local function run()
    while first <= last do
        local co = ready[first]
        ready[first] = nil
        first = first + 1
        local fine, problem = resume(co)
        if not fine then error(problem) end
    end
end

-- Channels without buffer: `waiting` are the senders, or the receivers, in the order they came.
local Channel = {}
Channel.__index = Channel

local function channel()
    return setmetatable({senders = {}, sfirst = 1, slast = 0, receivers = {}, rfirst = 1, rlast = 0}, Channel)
end

function Channel:send(value)
    if self.rfirst <= self.rlast then
        local co = self.receivers[self.rfirst]
        self.receivers[self.rfirst] = nil
        self.rfirst = self.rfirst + 1
        message[co] = value
        enqueue(co)
    else
        local me = running()
        self.slast = self.slast + 1
        self.senders[self.slast] = me
        message[me] = value
        yield()
    end
end

function Channel:receive()
    local co
    if self.sfirst <= self.slast then
        co = self.senders[self.sfirst]
        self.senders[self.sfirst] = nil
        self.sfirst = self.sfirst + 1
        enqueue(co)
    else
        co = running()
        self.rlast = self.rlast + 1
        self.receivers[self.rlast] = co
        yield()
    end
    local value = message[co]
    message[co] = nil
    return value
end

local function timed(f)
    local start = clock()
    f()
    return clock() - start
end

local function resident()
    collectgarbage()
    collectgarbage()
    local statm = assert(io.open("/proc/self/statm"))
    local _, pages = statm:read("*n", "*n")
    statm:close()
    return pages * 4096
end

local figures = {}

local function nothing() end

function figures.round_trip(count)
    local switch = wrap(function() while true do yield() end end)
    return timed(function() for _ = 1, count do switch() end end)
end

function figures.round_trip_deep(count)
    local function down(level)
        if level > 0 then return 1 + down(level - 1) end
        while true do yield() end
    end
    local switch = wrap(down)
    local function outer(level)
        if level > 0 then return 0 + outer(level - 1) end
        return timed(function() for _ = 1, count do switch() end end)
    end
    switch(99)
    return outer(99)
end

-- Out of a function that pcall calls. Those that string.gsub or table.sort call cannot yield.
function figures.round_trip_c(count)
    local switch = wrap(function() pcall(function() while true do yield() end end) end)
    local seconds
    pcall(function() seconds = timed(function() for _ = 1, count do switch() end end) end)
    return seconds
end

function figures.ping_pong(count)
    local there, back = channel(), channel()
    spawn(function()
        for value = 1, count do
            there:send(value)
            back:receive()
        end
    end)
    spawn(function() for _ = 1, count do back:send(there:receive()) end end)
    return timed(run)
end

function figures.create(count)
    return timed(function() for _ = 1, count do spawn(nothing) run() end end)
end

function figures.create_many(count)
    return timed(function()
        for _ = 1, count / 1000 do
            for _ = 1, 1000 do spawn(nothing) end
            run()
        end
    end)
end

function figures.ring(count)
    local laps = math.floor(count / 1000)
    local channels = {}
    for index = 0, 999 do channels[index] = channel() end
    for index = 1, 999 do
        local source, target = channels[index], channels[(index + 1) % 1000]
        spawn(function() for _ = 1, laps do target:send(source:receive()) end end)
    end
    spawn(function()
        for lap = 1, laps do
            channels[1]:send(lap)
            channels[0]:receive()
        end
    end)
    return timed(run)
end

function figures.sieve(count)
    local found, done = 0, {}
    spawn(function()
        local source = channel()
        local numbers = source
        spawn(function()
            local value = 2
            while true do
                numbers:send(value)
                value = value + 1
            end
        end)
        for _ = 1, count do
            local prime = source:receive()
            found = found + 1
            local from, target = source, channel()
            spawn(function()
                while true do
                    local value = from:receive()
                    if value % prime ~= 0 then target:send(value) end
                end
            end)
            source = target
        end
        error(done)
    end)
    local seconds = timed(function() local _, why = pcall(run) assert(why == done, why) end)
    assert(found == count)
    return seconds
end

local function node(answer, number, size)
    if size == 1 then
        answer:send(number)
        return
    end
    size = size / 10
    local answers = channel()
    for index = 0, 9 do
        spawn(function() node(answers, number + index * size, size) end)
    end
    local total = 0
    for _ = 1, 10 do total = total + answers:receive() end
    answer:send(total)
end

function figures.skynet(count)
    local total
    spawn(function()
        local answer = channel()
        spawn(function() node(answer, 0, count) end)
        total = answer:receive()
    end)
    local seconds = timed(run)
    assert(total == count * (count - 1) / 2, total)
    return seconds
end

function figures.blocked(count)
    local waiting = {}
    local before = resident()
    for index = 1, count do
        local co = create(function() yield() end)
        resume(co)
        waiting[index] = co
    end
    return resident() - before
end

-- Recursion ends with an error that can be caught, and through C with a crash: so the depth is said at once.
local function deepest(down, step)
    local reached = 0
    local function note(level)
        reached = level
        if level % step == 0 then
            io.write("depth ", level, "\n")
            io.flush()
        end
    end
    local co = create(function() down(1, note) end)
    local fine, problem = resume(co)
    return reached, fine and "" or (tostring(problem):match("[%a ]*stack overflow") or "error")
end

function figures.depth(count)
    local function down(level, note)
        note(level)
        if level < count then return 1 + down(level + 1, note) end
        return 0
    end
    return deepest(down, 1000)
end

function figures.depth_c(count)
    local function down(level, note)
        note(level)
        if level < count then string.gsub("x", "x", function() down(level + 1, note) end) end
    end
    return deepest(down, 10)
end

if arg[1] == "version" then
    print(("{'version': '%s'}"):format(jit.version))
    os.exit(0)
end
local figure = figures[arg[1]]
if not figure then
    io.stderr:write("no such figure on LuaJIT\n")
    os.exit(4)
end
local value, note = figure(tonumber(arg[2]))
print(note and ("{'value': %d, 'note': '%s'}"):format(value, (note:gsub("^ +", "")))
      or ("{'value': %.9f}"):format(value))
