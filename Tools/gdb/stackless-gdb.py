"""gdb commands that show tasklets, of a process or of a core: stackless-tasklets and stackless-bt.

`make install` puts this file where gdb finds it when it loads our executable or library (gdb must trust the folder: see
`help set auto-load safe-path`); `source` loads it, too. Nothing is run in the process, and no debug information is
needed: PyStackless_Layout, a table that our executable and library export (Stackless/core/layout.c), says where things
are. What cannot be read is said so, and the rest is shown.
"""

import struct

import gdb

LAYOUT_VERSION = 1
ENTRY = struct.Struct('32s8s')
# Longer lists and chains are taken for damaged.
MAX_LIST = 100_000_000
# So many frames of each tasklet are shown where all tasklets are.
MAX_FRAMES = 100
MAX_TEXT = 500


class Unreadable(Exception):
    """Something is not as it should be; the text says what."""


class Memory:
    """The memory of the process or core, read in blocks that are kept."""

    BLOCK = 4096

    def __init__(self):
        self.inferior = gdb.selected_inferior()
        self.blocks = {}
        big = 'big endian' in gdb.execute('show endian', to_string=True)
        self.order = 'big' if big else 'little'
        self.pointer_size = gdb.lookup_type('void').pointer().sizeof
        self.top = 1 << 8 * self.pointer_size

    def block(self, number):
        found = self.blocks.get(number)
        if found is None:
            try:
                found = bytes(self.inferior.read_memory(number * self.BLOCK, self.BLOCK))
            except (gdb.error, OverflowError):
                found = b''
            self.blocks[number] = found
        return found

    def read(self, address, size):
        """`size` bytes; Unreadable if they are not there."""
        number, start = divmod(address, self.BLOCK)
        if start + size <= self.BLOCK:
            found = self.block(number)[start:start + size] if address > 0 else b''
        else:
            try:
                found = bytes(self.inferior.read_memory(address, size))
            except (gdb.error, OverflowError):
                found = b''
        if len(found) != size:
            raise Unreadable(f'the memory at {address:#x} cannot be read')
        return found

    def number(self, address, size, signed=False):
        return int.from_bytes(self.read(address, size), self.order, signed=signed)

    def pointer(self, address):
        return self.number(address, self.pointer_size)

    def size(self, address):
        """A Py_ssize_t."""
        return self.number(address, self.pointer_size, True)


def address_of(symbol):
    """The address of a variable, or None."""
    try:
        return int(gdb.parse_and_eval(f'(unsigned long)&{symbol}'))
    except gdb.error:
        return None


def location(table, first_line, index):
    """The line of an instruction in a code object's table of positions, or None."""
    line, at, start = first_line, 0, 0
    if index < 0:
        return line

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = table[at]
            at += 1
            value |= (byte & 63) << shift
            shift += 6
            if not byte & 64:
                return value

    while at < len(table):
        kind, units = table[at] >> 3 & 15, (table[at] & 7) + 1
        at += 1
        if kind in (13, 14):
            delta = varint()
            line += -(delta >> 1) if delta & 1 else delta >> 1
        elif 10 <= kind <= 12:
            line += kind - 10
        if start <= index < start + units:
            return None if kind == 15 else line
        start += units
        while at < len(table) and not table[at] & 128:
            at += 1
    return None


class Frame:
    """One frame of Python code."""

    def __init__(self, program, address):
        at = program.at
        self.address = address
        self.code = program.pointer(address + at['frame.f_code'])
        if program.pointer(self.code + at['object.ob_type']) != program.code_type:
            raise Unreadable(f'the frame at {address:#x} is damaged: it has no code')
        self.previous = program.pointer(address + at['frame.previous'])
        size = program.memory.size(self.code + at['var.ob_size'])
        first = program.memory.number(self.code + at['code._co_firsttraceable'], 4, True)
        # The steps that the interpreter does between calls: no program has written them.
        self.is_shim = first >= size
        instruction = program.pointer(address + at['frame.prev_instr'])
        self.index = (instruction - self.code - at['code.co_code_adaptive']) // at['sizeof.code_unit']
        self.program = program

    @property
    def line(self):
        program, at = self.program, self.program.at
        table = program.pointer(self.code + at['code.co_linetable'])
        size = program.memory.size(table + at['var.ob_size'])
        if not 0 <= size < 1 << 28:
            raise Unreadable(f'the code at {self.code:#x} is damaged')
        first = program.memory.number(self.code + at['code.co_firstlineno'], 4, True)
        try:
            return location(program.memory.read(table + at['bytes.ob_sval'], size), first, self.index)
        except IndexError:
            raise Unreadable(f'the code at {self.code:#x} is damaged') from None

    @property
    def name(self):
        return self.program.text(self.program.pointer(self.code + self.program.at['code.co_qualname']))

    @property
    def file(self):
        return self.program.text(self.program.pointer(self.code + self.program.at['code.co_filename']))

    def __str__(self):
        return f'{self.name} ({self.file}:{"?" if self.line is None else self.line})'


class Thread:
    """A thread state, and ours to it."""

    def __init__(self, program, address):
        at = program.at
        self.program = program
        self.address = address
        self.next = program.pointer(address + at['tstate.next'])
        self.ident = program.pointer(address + at['tstate.thread_id'])
        self.native = program.pointer(address + at['tstate.native_thread_id'])
        self.cframe = program.pointer(address + at['tstate.cframe'])
        self.ours = program.pointer(address + at['tstate.root_cframe.previous'])
        self.current = program.pointer(self.ours + at['thread.current']) if self.ours else 0

    def top_frame(self):
        return self.program.pointer(self.cframe + self.program.at['cframe.current_frame'])

    def __str__(self):
        for thread in gdb.selected_inferior().threads():
            if self.native in thread.ptid[1:]:
                return f'Thread {thread.num} (LWP {self.native}, {self.ident:#x})'
        return f'Thread {self.ident:#x} (LWP {self.native})'


class Tasklet:
    """A tasklet that is alive."""

    def __init__(self, program, address):
        at = program.at
        self.program = program
        self.address = address
        self.next = program.pointer(address + at['tasklet.next'])
        self.thread = program.threads.get(program.pointer(address + at['tasklet.thread']))
        self.frame = program.pointer(address + at['tasklet.frame'])
        self.flags = program.memory.read(address + at['tasklet.flags'], 8)
        self.is_main = self.flag('is_main')
        self.pinned = self.flag('pinned')
        self.blocked = program.signed_flag(self.flags, 'tasklet.blocked')
        self.current = self.thread is not None and self.thread.current == address
        # One without a thread has lost it, and cannot go on.
        self.alive = self.thread is not None and (self.current or self.frame != 0 or self.is_main) \
            and not self.flag('idle')
        self.in_run_queue = self.next != 0 and not self.blocked

    def flag(self, name):
        return self.program.flag(self.flags, 'tasklet.' + name)

    @property
    def name(self):
        extra = self.program.pointer(self.address + self.program.at['tasklet.extra'])
        name = self.program.pointer(extra + self.program.at['extra.name']) if extra else 0
        return self.program.text(name) if name else None

    @property
    def state(self):
        if self.current:
            return 'current'
        if self.blocked:
            channel = self.program.pointer(self.address + self.program.at['tasklet.channel'])
            return f'blocked, {"sending" if self.blocked > 0 else "receiving"} on channel {channel:#x}'
        if self.in_run_queue:
            return 'scheduled'
        return 'waiting in run()' if self.flag('waits_in_run') else 'paused'

    @property
    def carrier(self):
        """Where its C frames are, in words."""
        at, pointer = self.program.at, self.program.pointer
        carrier = pointer(self.address + at['tasklet.carrier'])
        low, high, sp = (pointer(carrier + at['carrier.' + name]) for name in ('low', 'high', 'sp'))
        return f'pinned on carrier {carrier:#x} (C stack {low:#x} to {high:#x}, at {sp:#x})'

    def frames(self):
        """Its frames of Python code, the newest first."""
        address = self.thread.top_frame() if self.current else self.frame
        seen = set()
        while address:
            if address in seen:
                raise Unreadable(f'the frames are damaged: that at {address:#x} is its own caller')
            seen.add(address)
            frame = Frame(self.program, address)
            if not frame.is_shim:
                yield frame
            address = frame.previous

    def title(self):
        words = [f'{self.address:#x}']
        if self.is_main:
            words.append('main')
        name = tried(lambda: self.name)
        if name is not None:
            words.append(f'"{name}"')
        return ' '.join(words)

    def describe(self):
        """One line."""
        words = [f'{self.title()}: {tried(lambda: self.state)}']
        words.append(tried(lambda: next((f'in {frame}' for frame in self.frames()), 'in C code')))
        if self.pinned and not self.is_main:
            words.append(tried(lambda: self.carrier))
        return ', '.join(words)

    def backtrace(self, count):
        """Its frames, a line each."""
        lines = []
        try:
            for number, frame in enumerate(self.frames()):
                if number == count:
                    lines.append('  ...')
                    break
                lines.append(f'  #{number} {tried(lambda: str(frame))}')
        except Unreadable as error:
            lines.append(f'  <{error}>')
        return lines or ['  <no frame of Python code>']


def tried(get):
    """What it returns, or what went wrong, in words."""
    try:
        return get()
    except Unreadable as error:
        return f'<{error}>'


class Program:
    """The interpreter in the process or core that gdb looks at."""

    def __init__(self):
        if gdb.selected_thread() is None:
            raise gdb.GdbError('There is no process: run, attach or core-file first.')
        self.memory = Memory()
        self.pointer = self.memory.pointer
        self.at, self.masks = {}, {}
        self.threads = {}               # by the address of what is ours
        self.types = {}                 # address of a type: is it that of tasklets?
        self.notes = []
        self.read_layout()
        self.tasklet_type = address_of('PyTasklet_Type')
        self.code_type = address_of('PyCode_Type')
        self.runtime = address_of('_PyRuntime')

    def read_layout(self):
        table = address_of('PyStackless_Layout')
        if table is None:
            raise gdb.GdbError('This is no Stackless Python 3.11, or its symbols are not loaded yet '
                               '(there is no PyStackless_Layout).')
        try:
            while True:
                name, value = ENTRY.unpack(self.memory.read(table, ENTRY.size))
                name = name.rstrip(b'\0').decode('ascii', 'replace')
                if not name:
                    break
                if name.startswith('bits.'):
                    self.masks[name[5:]] = int.from_bytes(value, self.memory.order)
                else:
                    self.at[name] = int.from_bytes(value, self.memory.order, signed=True)
                if self.at.get('stackless.layout') != LAYOUT_VERSION:
                    raise gdb.GdbError('This file belongs to another version of Stackless Python: its '
                                       'PyStackless_Layout is not as expected.')
                table += ENTRY.size
        except Unreadable as error:
            raise gdb.GdbError(f'PyStackless_Layout cannot be read: {error}.') from None

    # --- pieces ---

    def bits(self, flags, name):
        mask = self.masks[name]
        value = int.from_bytes(flags, self.memory.order) & mask
        shift = (mask & -mask).bit_length() - 1
        return value >> shift, mask >> shift

    def flag(self, flags, name):
        return self.bits(flags, name)[0] != 0

    def signed_flag(self, flags, name):
        value, ones = self.bits(flags, name)
        return value - ones - 1 if value > ones >> 1 else value

    def text(self, address):
        """The characters of a str object, those that do not print escaped."""
        at = self.at
        length = self.memory.size(address + at['str.length'])
        state = self.memory.read(address + at['str.state'], 8)
        kind = self.bits(state, 'str.kind')[0]
        if kind not in (1, 2, 4) or length < 0:
            raise Unreadable(f'the str at {address:#x} is damaged')
        if not self.flag(state, 'str.compact'):
            data = self.pointer(address + at['str.data'])
        elif self.flag(state, 'str.ascii'):
            data = address + at['sizeof.str_ascii']
        else:
            data = address + at['sizeof.str_compact']
        raw = self.memory.read(data, min(length, MAX_TEXT) * kind)
        characters = [chr(min(int.from_bytes(raw[i:i + kind], self.memory.order), 0x10ffff))
                      for i in range(0, len(raw), kind)]
        return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in characters) \
            + ('...' if length > MAX_TEXT else '')

    def is_tasklet_type(self, address):
        found = self.types.get(address)
        if found is None:
            found, base = False, address
            try:
                for _ in range(100):
                    if base == 0:
                        break
                    if base == self.tasklet_type:
                        found = True
                        break
                    base = self.pointer(base + self.at['type.tp_base'])
            except Unreadable:
                pass
            self.types[address] = found
        return found

    def is_tasklet(self, address):
        return self.is_tasklet_type(self.pointer(address + self.at['object.ob_type']))

    # --- everything ---

    def interpreters(self):
        address = self.pointer(self.runtime + self.at['runtime.interpreters.head'])
        if address == 0:
            raise gdb.GdbError('The interpreter has not been started yet, or has ended.')
        while address:
            yield address
            address = self.pointer(address + self.at['interp.next'])

    def read_threads(self, interpreter):
        """The threads of an interpreter, the oldest first."""
        found = []
        address = self.pointer(interpreter + self.at['interp.threads.head'])
        while address and len(found) < 1_000_000:
            thread = Thread(self, address)
            found.append(thread)
            if thread.ours:
                self.threads[thread.ours] = thread
            address = thread.next
        return found[::-1]

    def run_queue(self, thread):
        """The current tasklet of a thread and those that are scheduled."""
        address = thread.current
        seen = set()
        while address and address not in seen:
            seen.add(address)
            tasklet = Tasklet(self, address)
            if not tasklet.in_run_queue and not tasklet.current:
                raise Unreadable(f'the run queue is damaged at {address:#x}')
            yield tasklet
            address = tasklet.next if tasklet.in_run_queue else 0

    def known_to_collector(self, interpreter):
        """The tasklets in the lists of the collector, the oldest first."""
        at, read, size = self.at, self.memory.read, self.memory.pointer_size
        order, types, mask = self.memory.order, self.types, ~(self.memory.pointer_size - 1)
        next_at, type_at = at['gc._gc_next'], at['sizeof.gc'] + at['object.ob_type']
        whole = max(next_at, type_at) + size
        generation = interpreter + at['interp.gc.generations']
        heads = [interpreter + at['interp.gc.permanent_generation']]
        heads += [generation + i * at['sizeof.generation'] for i in reversed(range(at['generations']))]
        count = 0
        for head in heads:
            head += at['generation.head']
            # While the collector works, it keeps a bit in the pointers.
            address = self.pointer(head + next_at) & mask
            while address != head:
                header = read(address, whole)
                kind = int.from_bytes(header[type_at:type_at + size], order)
                if types.get(kind) is None:
                    self.is_tasklet_type(kind)
                if types[kind]:
                    yield Tasklet(self, address + at['sizeof.gc'])
                address = int.from_bytes(header[next_at:next_at + size], order) & mask
                count += 1
                if count > MAX_LIST:
                    raise Unreadable('the lists of the collector are damaged: they have no end')

    def tasklets(self, interpreter):
        """[(thread, its tasklets that are alive)].  self.notes gets what was wrong."""
        threads = self.read_threads(interpreter)
        found = {thread.ours: {} for thread in threads if thread.ours}
        for thread in threads:
            if thread.ours:
                self.gather(found, self.run_queue(thread))
        if found:
            if self.memory.number(interpreter + self.at['interp.gc.collecting'], 4):
                self.notes.append('The collector is at work: tasklets may be missing.')
            self.gather(found, self.known_to_collector(interpreter))
        return [(thread, list(found.get(thread.ours, {}).values())) for thread in threads]

    def gather(self, found, tasklets):
        try:
            for tasklet in tasklets:
                if tasklet.alive:
                    found[tasklet.thread.ours].setdefault(tasklet.address, tasklet)
        except Unreadable as error:
            self.notes.append(f'Tasklets may be missing: {error}.')

    def everything(self):
        """[(interpreter's number or None if there is one only, thread, its tasklets)]"""
        interpreters = list(self.interpreters())
        result = []
        for address in interpreters:
            number = self.memory.number(address + self.at['interp.id'], 8) if len(interpreters) > 1 else None
            result += [(number, thread, tasklets) for thread, tasklets in self.tasklets(address)]
        return result


class Command(gdb.Command):
    """What the commands have in common."""

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        try:
            program = Program()
            lines = self.lines(program, argument.strip())
        except Unreadable as error:
            raise gdb.GdbError(f'The state of the interpreter is damaged: {error}.') from None
        for line in lines + program.notes:
            gdb.write(line + '\n')

    @staticmethod
    def heading(number, thread):
        return f'{thread}:' if number is None else f'{thread} of interpreter {number}:'


class Tasklets(Command):
    """List the tasklets of all threads: stackless-tasklets

A line for each that is alive has its address, its name, its state with the channel that it waits on, the function, file
and line where it is, and where its C frames are if it is pinned: suspended inside of a C function. An asterisk stands
before the current tasklet of each thread."""

    name = 'stackless-tasklets'

    def lines(self, program, argument):
        if argument:
            raise gdb.GdbError('stackless-tasklets takes no argument.')
        lines = []
        for number, thread, tasklets in program.everything():
            lines.append(self.heading(number, thread))
            lines += [f'{"*" if tasklet.current else " "} {tasklet.describe()}' for tasklet in tasklets]
            if not thread.ours:
                lines.append('  <it has used no tasklets>')
        return lines


class Backtrace(Command):
    """Show the Python stack of tasklets, the newest frame first: stackless-bt [TASKLET]

TASKLET is an address, an expression that gives one, or a name. Without it, all tasklets are shown, with the newest
hundred frames of each."""

    name = 'stackless-bt'

    def lines(self, program, argument):
        if argument:
            chosen = self.chosen(program, argument)
            return [line for tasklet in chosen for line in self.stack(tasklet, None)]
        lines = []
        for number, thread, tasklets in program.everything():
            lines.append(self.heading(number, thread))
            for tasklet in tasklets:
                lines += self.stack(tasklet, MAX_FRAMES)
            if not thread.ours:
                lines.append('  <it has used no tasklets>')
        return lines

    @staticmethod
    def stack(tasklet, count):
        pinned = ', pinned' if tasklet.pinned and not tasklet.is_main else ''
        return [f'Tasklet {tasklet.title()} ({tried(lambda: tasklet.state)}{pinned}):', *tasklet.backtrace(count)]

    @staticmethod
    def chosen(program, argument):
        tasklets = [tasklet for _, _, tasklets in program.everything() for tasklet in tasklets]
        quoted = len(argument) > 1 and argument[0] == argument[-1] == '"'
        names = {argument, argument[1:-1] if quoted else argument}
        named = [tasklet for tasklet in tasklets if tried(lambda: tasklet.name) in names]
        if named:
            return named
        try:
            address = int(gdb.parse_and_eval(f'(unsigned long)({argument})'))
        except gdb.error as error:
            raise gdb.GdbError(f'No tasklet has this name, and it is no address: {error}') from None
        for tasklet in tasklets:
            if tasklet.address == address:
                return [tasklet]
        raise gdb.GdbError(f'There is no tasklet at {address:#x} that is alive.')


Tasklets()
Backtrace()
