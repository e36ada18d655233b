"""Stack maps: code that the compiler makes has one, code that could lead the loop astray has none.

The maps tell which stack a frame from an image must have, and which code from an image may run.
"""

import dis
import os
import sysconfig
import types
import unittest
import warnings

from _stackless import _stack_map


def all_codes(code):
    """A code object and those in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_codes(constant)


def sources(folder):
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("test", "tests", "__pycache__")]
        for name in names:
            if name.endswith(".py"):
                yield os.path.join(path, name)


def kinds_at(code, opname, which=0):
    """The kinds on the stack before one of the instructions of a name."""
    offsets = [i.offset for i in dis.get_instructions(code) if i.opname == opname]
    return dict(_stack_map(code))[offsets[which]]


def unit(name, oparg=0):
    return bytes([dis.opmap[name], oparg])


RESUME = unit("RESUME")
RETURN = unit("LOAD_CONST") + unit("RETURN_VALUE")
CALL_0 = unit("PRECALL") + bytes(2) + unit("CALL") + bytes(8)


def lines_for(size):
    """A table that gives no line to `size` bytes of code."""
    table = b""
    for units in range(size // 2, 0, -8):
        table += bytes([0x80 | 15 << 3 | min(units, 8) - 1])
    return table


def empty():
    pass


def made(code, lines=None, **changes):
    """A code object of given instructions."""
    changes.setdefault("co_stacksize", 4)
    return empty.__code__.replace(co_code=code, co_linetable=lines_for(len(code)) if lines is None else lines,
                                  **changes)


class TestMapsOfCompiledCode(unittest.TestCase):
    def test_standard_library(self):
        count = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path in sources(sysconfig.get_path("stdlib")):
                with open(path, "rb") as file:
                    try:
                        code = compile(file.read(), path, "exec")
                    except (SyntaxError, ValueError):
                        continue
                for inner in all_codes(code):
                    _stack_map(inner)
                    count += 1
        self.assertGreater(count, 10_000)

    def test_code_that_has_been_specialised(self):
        def warm(items):
            total = 0
            for item in items:
                total += len(item) + item[0]
            return total

        before = _stack_map(warm.__code__)
        for _ in range(100):
            warm([[1], [2, 3]])
        self.assertEqual(_stack_map(warm.__code__), before)

    def test_depths_are_those_of_dis(self):
        def straight(a, b):
            return [a.name, -b, f"{a!r:>{b}}", (a, *b), {a: b, **b}, a[b:a:b], lambda x=a: b]

        depth = 0
        for instruction, (offset, kinds) in zip(dis.get_instructions(straight.__code__),
                                                _stack_map(straight.__code__), strict=True):
            self.assertEqual((instruction.offset, depth), (offset, len(kinds)))
            depth += dis.stack_effect(instruction.opcode, instruction.arg)

    def test_kinds_of_a_call(self):
        def calling(f, x):
            f(x)
            x.method(f)
            return len(x)

        self.assertEqual(kinds_at(calling.__code__, "PRECALL", 0), "Noo")
        self.assertEqual(kinds_at(calling.__code__, "CALL", 0), "?oo")
        self.assertEqual(kinds_at(calling.__code__, "PRECALL", 1), "?oo")
        self.assertEqual(kinds_at(calling.__code__, "PRECALL", 2), "Noo")

    def test_kinds_in_handlers(self):
        def handling(f):
            try:
                f()
            except ValueError as e:
                return e
            with f:
                pass

        self.assertEqual(kinds_at(handling.__code__, "CHECK_EXC_MATCH"), "xeo")
        self.assertEqual(kinds_at(handling.__code__, "WITH_EXCEPT_START"), "oixe")
        self.assertEqual(kinds_at(handling.__code__, "RERAISE"), "xie")

    def test_kinds_in_except_star(self):
        def handling(f):
            try:
                f()
            except* ValueError:
                pass

        self.assertEqual(kinds_at(handling.__code__, "CHECK_EG_MATCH"), "xeleo")
        self.assertEqual(kinds_at(handling.__code__, "PREP_RERAISE_STAR"), "xel")

    def test_kinds_of_what_makes_a_function(self):
        def outer(a):
            def inner(x: int = 1, *, y=2):
                return a
            return inner

        self.assertEqual(kinds_at(outer.__code__, "MAKE_FUNCTION"), "tdtCf")

    def test_code_that_cannot_be_reached_has_no_stack(self):
        code = made(RESUME + unit("JUMP_FORWARD", 1) + unit("POP_TOP") + RETURN)
        self.assertEqual(_stack_map(code), [(0, ""), (2, ""), (6, ""), (8, "o")])

    def test_wants_code(self):
        with self.assertRaisesRegex(TypeError, "expected a code object, not int"):
            _stack_map(1)


class TestRefused(unittest.TestCase):
    """Each rule of slp_stackmap.h, broken."""

    def refused(self, code, words):
        with self.assertRaisesRegex(ValueError, words):
            _stack_map(code)

    def test_names_the_function_and_the_place(self):
        self.refused(made(RESUME + unit("POP_TOP") + RETURN),
                     r"^code of empty \(file '.*test_stackmap.py', line \d+\), offset 2: "
                     "POP_TOP takes 1 values from a stack of 0$")

    # --- instructions ---

    def test_unknown_opcode(self):
        self.refused(made(RESUME + b"\xfe\x00" + RETURN), "no instruction with opcode 254")

    def test_opcode_of_a_shim(self):
        self.refused(made(RESUME + b"\xc8\x00" + RETURN), "no instruction with opcode 200")

    def test_specialised_opcode(self):
        self.refused(made(RESUME + bytes([45, 0]) + RETURN), "no instruction with opcode 45")

    def test_cache_on_its_own(self):
        self.refused(made(RESUME + b"\x00\x00" + RETURN), "no instruction with opcode 0")

    def test_missing_cache(self):
        self.refused(made(RESUME + RETURN[:2] + unit("LOAD_CONST") + unit("BINARY_OP") + RETURN),
                     "BINARY_OP is not followed by empty caches")

    def test_filled_cache(self):
        self.refused(made(RESUME + RETURN[:2] * 2 + unit("BINARY_OP") + b"\x00\x01" + unit("RETURN_VALUE")),
                     "BINARY_OP is not followed by empty caches")

    def test_truncated(self):
        self.refused(made(RESUME + unit("EXTENDED_ARG", 1)), "the code ends in the middle")
        self.refused(made(RESUME + unit("LOAD_CONST") + unit("LOAD_ATTR")), "LOAD_ATTR cannot have the argument 0")
        self.refused(made(RESUME + unit("PUSH_NULL") + RETURN[:2] + CALL_0[:6]), "empty caches")

    def test_extends_nothing(self):
        self.refused(made(RESUME + unit("EXTENDED_ARG", 0) + RETURN), "extends nothing")
        self.refused(made(RESUME + unit("EXTENDED_ARG", 1) * 4 + RETURN), "extends nothing")

    def test_leads_past_the_end(self):
        self.refused(made(RESUME + RETURN + unit("NOP")), "past the end")

    # --- jumps ---

    def test_jump_out_of_the_code(self):
        self.refused(made(RESUME + unit("JUMP_FORWARD", 9) + RETURN), "leads to offset 22")
        self.refused(made(RESUME + unit("JUMP_BACKWARD", 9) + RETURN), "leads to offset -14")
        self.refused(made(RESUME + unit("JUMP_BACKWARD", 3) + RETURN), "leads to offset -2")

    def test_jump_into_a_cache(self):
        self.refused(made(RESUME + unit("JUMP_FORWARD", 3) + RETURN[:2] * 2 + unit("BINARY_OP") + bytes(2)
                          + unit("RETURN_VALUE")), "leads to offset 10")

    def test_jump_behind_the_extension(self):
        self.refused(made(RESUME + unit("JUMP_FORWARD", 1) + unit("EXTENDED_ARG", 1) + RETURN,
                          co_consts=(None,) * 300), "leads to offset 6")

    def test_jump_into_the_prefix(self):
        self.refused(made(unit("MAKE_CELL") + RESUME + unit("JUMP_BACKWARD", 3), co_cellvars=("x",)),
                     "leads to offset 0")

    # --- the stack ---

    def test_paths_that_disagree(self):
        self.refused(made(RESUME + RETURN[:2] + unit("POP_JUMP_FORWARD_IF_TRUE", 1) + RETURN[:2] + RETURN),
                     "one path leads here with . values on the stack, another with")

    def test_growing_loop(self):
        self.refused(made(RESUME + RETURN[:2] + unit("JUMP_BACKWARD", 2)), "one path leads here")

    def test_deeper_than_promised(self):
        self.refused(made(RESUME + RETURN[:2] * 5 + RETURN), "LOAD_CONST pushes more than the stack of 4 takes")

    def test_return_with_values_left(self):
        self.refused(made(RESUME + RETURN[:2] + RETURN), "RETURN_VALUE finds 2 values")

    def test_null_as_an_object(self):
        self.refused(made(RESUME + unit("PUSH_NULL") + unit("RETURN_VALUE")), "finds NULL on the stack, not an obj")
        self.refused(made(RESUME + unit("PUSH_NULL") + unit("COPY", 1) + RETURN), "COPY finds NULL")

    def test_null_for_a_callable(self):
        self.refused(made(RESUME + unit("PUSH_NULL") * 2 + CALL_0 + unit("RETURN_VALUE")), "PRECALL finds NULL")

    def test_list_append_to_something_else(self):
        self.refused(made(RESUME + RETURN[:2] * 2 + unit("LIST_APPEND", 1) + unit("RETURN_VALUE")),
                     "LIST_APPEND finds an object on the stack, not a list")

    def test_map_add_to_something_else(self):
        self.refused(made(RESUME + RETURN[:2] * 3 + unit("MAP_ADD", 1) + unit("RETURN_VALUE")),
                     "MAP_ADD finds an object on the stack, not a dict")

    def test_reraise_of_no_exception(self):
        self.refused(made(RESUME + RETURN[:2] + unit("RERAISE")), "RERAISE finds an object on the stack, not an exc")

    def test_pop_except_without_a_handler(self):
        self.refused(made(RESUME + RETURN[:2] + unit("POP_EXCEPT") + RETURN), "POP_EXCEPT finds an object")

    def test_swap_below_the_stack(self):
        self.refused(made(RESUME + RETURN[:2] + unit("SWAP", 2) + RETURN), "SWAP takes 2 values from a stack of 1")
        self.refused(made(RESUME + RETURN[:2] + unit("SWAP", 0) + RETURN), "SWAP cannot have the argument 0")

    # --- what they refer to ---

    def test_constants_and_names(self):
        self.refused(made(RESUME + unit("LOAD_CONST", 9) + unit("RETURN_VALUE")), "LOAD_CONST cannot have")
        self.refused(made(RESUME + unit("LOAD_GLOBAL", 2) + bytes(10) + unit("RETURN_VALUE")), "LOAD_GLOBAL cannot")
        self.refused(made(RESUME + unit("LOAD_NAME", 1) + unit("RETURN_VALUE")), "LOAD_NAME cannot have")

    def test_local_variables(self):
        self.refused(made(RESUME + unit("LOAD_FAST", 0) + unit("RETURN_VALUE")), "LOAD_FAST cannot have")

    def test_cells_as_local_variables(self):
        prefix = unit("MAKE_CELL") + RESUME
        for name in ("LOAD_FAST", "DELETE_FAST"):
            self.refused(made(prefix + unit(name) + RETURN, co_cellvars=("x",)), name + " cannot have")
        self.refused(made(prefix + RETURN[:2] + unit("STORE_FAST") + RETURN, co_cellvars=("x",)), "STORE_FAST cannot")

    def test_local_variables_as_cells(self):
        for name in ("LOAD_DEREF", "LOAD_CLOSURE", "DELETE_DEREF", "LOAD_CLASSDEREF"):
            self.refused(made(RESUME + unit(name) + RETURN, co_varnames=("x",), co_nlocals=1),
                         name + " cannot have")

    def test_numbered_operators(self):
        for name, oparg in [("BINARY_OP", 26), ("COMPARE_OP", 6)]:
            caches = bytes(2 * dis._inline_cache_entries[dis.opmap[name]])
            self.refused(made(RESUME + RETURN[:2] * 2 + unit(name, oparg) + caches + unit("RETURN_VALUE")),
                         name + " cannot have")

    def test_names_of_keywords(self):
        call = unit("PRECALL", 1) + bytes(2) + unit("CALL", 1) + bytes(8) + unit("RETURN_VALUE")
        begin = RESUME + unit("PUSH_NULL") + RETURN[:2] * 2 + unit("KW_NAMES", 1)
        self.assertTrue(_stack_map(made(begin + call, co_consts=(None, ("a",)))))
        self.refused(made(begin + call, co_consts=(None, (1,))), "KW_NAMES cannot have")
        self.refused(made(begin + call, co_consts=(None, "a")), "KW_NAMES cannot have")
        self.refused(made(begin + call, co_consts=(None, ("a", "b"))), "KW_NAMES has no call with that many")
        self.refused(made(begin + unit("NOP") + call, co_consts=(None, ("a",))), "KW_NAMES has no call")

    def test_call_without_its_other_half(self):
        self.refused(made(RESUME + unit("PUSH_NULL") + RETURN[:2] + CALL_0[:4] + unit("RETURN_VALUE")),
                     "PRECALL has no CALL")

    def test_closures(self):
        def outer(x):
            return lambda: x

        code = outer.__code__
        for changed, words in [(code.co_code.replace(unit("MAKE_FUNCTION", 8), unit("MAKE_FUNCTION", 0)),
                                "0 cells for 1 free variables"),
                               (code.co_code.replace(unit("MAKE_FUNCTION", 8), unit("MAKE_FUNCTION", 16)),
                                "MAKE_FUNCTION cannot have")]:
            self.refused(code.replace(co_code=changed), words)
        self.refused(code.replace(co_consts=code.co_consts[:1] + (empty.__code__,)), "1 cells for 0 free variables")
        self.refused(code.replace(co_consts=code.co_consts[:1] + (1,)), "finds an object on the stack, not a code")

    # --- the prefix ---

    def test_no_resume(self):
        self.refused(made(RETURN), "there is no RESUME 0")

    def test_free_variables_that_are_not_copied(self):
        self.refused(made(RESUME + RETURN, co_freevars=("x",)), "does not begin with COPY_FREE_VARS")
        self.refused(made(unit("COPY_FREE_VARS", 2) + RESUME + RETURN, co_freevars=("x",)), "COPY_FREE_VARS cannot")

    def test_cells_that_are_not_made(self):
        self.refused(made(RESUME + RETURN, co_cellvars=("x",)), "does not make all of its cells")
        self.refused(made(unit("MAKE_CELL") * 2 + RESUME + RETURN, co_cellvars=("x",)), "makes a cell again")
        self.refused(made(unit("MAKE_CELL") + RESUME + unit("MAKE_CELL") + RETURN, co_cellvars=("x",)),
                     "MAKE_CELL belongs to the beginning")

    def test_generators(self):
        start = unit("RETURN_GENERATOR") + unit("POP_TOP")
        flags = empty.__code__.co_flags | 0x20
        self.assertTrue(_stack_map(made(start + RESUME + RETURN, co_flags=flags)))
        self.refused(made(RESUME + RETURN, co_flags=flags), "there is no RETURN_GENERATOR")
        self.refused(made(start + RESUME + RETURN), "there is no RESUME 0")
        self.refused(made(start + RESUME + RETURN, co_flags=flags | 0x80), "several kinds of generator")
        yielding = RETURN[:2] + unit("YIELD_VALUE")
        self.refused(made(RESUME + yielding + unit("RESUME", 1) + unit("RETURN_VALUE")), "not in a generator")
        self.refused(made(start + RESUME + yielding + unit("RETURN_VALUE"), co_flags=flags), "has no RESUME")
        self.refused(made(start + RESUME + yielding + unit("RESUME", 2) + unit("RETURN_VALUE"), co_flags=flags),
                     "YIELD_VALUE takes 2 values from a stack of 1")

    # --- tables ---

    def with_handler(self, table, code=RESUME + unit("NOP") + RETURN + unit("RERAISE")):
        return made(code, co_exceptiontable=bytes(table))

    def test_handlers(self):
        self.assertEqual(_stack_map(self.with_handler([0x81, 1, 4, 0]))[-1], (8, "e"))

    def test_malformed_handlers(self):
        for table in ([0x81], [0x81, 1, 4], [1, 1, 4, 0], [0x81, 0x81, 4, 0], [0x81, 1, 4, 0, 7],
                      [0x81, 0x40], [0x81, 0, 4, 0]):
            self.refused(self.with_handler(table), "table of exception handlers is malformed")

    def test_handlers_of_what_is_not_there(self):
        for table in ([0x81, 9, 4, 0], [0x82, 1, 4, 0, 0x81, 1, 4, 0], [0x82, 1, 4, 0, 0x82, 1, 4, 0]):
            self.refused(self.with_handler(table), "table of exception handlers covers")

    def test_handlers_that_lead_nowhere(self):
        self.refused(self.with_handler([0x81, 1, 9, 0]), "leads to offset 18")
        self.refused(self.with_handler([0x81, 1, 0, 0], unit("MAKE_CELL") + RESUME + RETURN), "MAKE_CELL cannot")

    def test_handlers_that_want_too_much(self):
        self.refused(self.with_handler([0x81, 1, 4, 2]), "its handler wants 1 values on a stack of 0")
        self.refused(self.with_handler([0x81, 1, 4, 40]), "its handler wants more than the stack of 4")

    def test_handlers_that_want_what_is_taken(self):
        code = RESUME + RETURN[:2] * 2 + unit("BUILD_TUPLE", 2) + unit("RETURN_VALUE") + unit("RERAISE")
        self.refused(self.with_handler([0x83, 1, 5, 2], code), "its handler wants values that BUILD_TUPLE takes")

    def test_lines(self):
        code = RESUME + RETURN
        for lines in (b"", lines_for(8), lines_for(4), lines_for(6) + b"\x01", b"\xf0\x01\x00", b"\xf2\x40", b"\x00",
                      b"\x82"):
            self.refused(made(code, lines), "table of lines is malformed")


class TestLoopDoesNotTrust(unittest.TestCase):
    def test_code_of_a_comprehension_called_with_something_else(self):
        code = next(c for c in all_codes(compile("[x for x in y]", "", "eval")) if c.co_name == "<listcomp>")
        with self.assertRaisesRegex(TypeError, "'int' object is not an iterator"):
            types.FunctionType(code, {})(5)


if __name__ == "__main__":
    unittest.main()
