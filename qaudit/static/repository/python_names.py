"""The real names behind names in Python source, and the texts that expressions of constants are.

Followed through imports, aliases, `getattr` and `__import__` with constants; constants are put together
from pieces first, since `"sys" + "tem"` is what somebody writes who does not want to be read.
"""

import ast
import base64
import binascii
import builtins
import codecs
from typing import Final

MAX_FOLDED: Final = 4000  # characters of a text that is put together
MAX_DEPTH: Final = 20
_RISKY: Final = frozenset(
    {"os", "subprocess", "socket", "ctypes", "pickle", "marshal", "posix", "pty", "shutil"}
)
_BARE: Final = frozenset({"eval", "exec", "compile", "__import__", "getattr", "open", "globals"})
_TYPES: Final = frozenset({"bytes", "bytearray", "str", "int", "dict", "list"})
_METHODS: Final = frozenset({"join", "decode", "encode", "replace", "lower"})
_ROT13: Final = ("rot13", "rot_13", "rot-13")


class Names:
    """What a file's imports and assignments say of its names."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.functions: dict[str, list[ast.AST]] = {}
        self.stars: list[str] = []

    def learn(self, node: ast.AST) -> None:
        """Take in what an import, an assignment or a definition says of a name."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.aliases[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append(node.module)
                else:
                    self.aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif (
            isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        ):
            target = node.targets[0].id
            if not isinstance(node.value, ast.Constant):
                told, computed = self.dotted(node.value)
                if told and not told.startswith("<") and (computed or told in _BARE or "." in told):
                    self.aliases.setdefault(target, told)
            text = self.folded(node.value)
            if text is not None and len(text) <= MAX_FOLDED:
                self.constants.setdefault(target, text)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self.functions.setdefault(node.name, []).append(node)

    def dotted(self, node: ast.AST, depth: int = 0) -> tuple[str, bool]:
        """Return the real name of what an expression names, and whether it was fetched in a roundabout way.

        The name of something that is not imported begins with `<`: a variable called `requests` is not
        the module.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute) and len(parts) < 50:
            parts.append(node.attr)
            node = node.value
        base, computed = "", False
        if isinstance(node, ast.Name):
            base = self._root(node.id, bool(parts))
        elif isinstance(node, ast.Call) and depth < MAX_DEPTH:
            base, computed = self._fetched(node, depth)
        elif isinstance(node, ast.Subscript) and depth < MAX_DEPTH:
            base, computed = self._looked_up(node, depth), True
        elif isinstance(node, ast.NamedExpr) and depth < MAX_DEPTH:
            base, computed = self.dotted(node.value, depth + 1)
        if not base:
            return "", computed
        name = ".".join([base, *reversed(parts)])
        for lead in ("builtins.", "__builtins__.", "__builtin__."):
            name = name.removeprefix(lead)
        return name, computed

    def _root(self, name: str, followed: bool) -> str:
        if name in self.aliases:
            return self.aliases[name]
        if name == "__builtins__" or not (followed or self.stars):
            return name
        if followed:
            return name if name in _TYPES else f"<{name}>"
        risky = next((m for m in self.stars if m.partition(".")[0] in _RISKY), "")
        return (
            f"{risky}.{name}"
            if risky and name not in self.functions and not hasattr(builtins, name)
            else name
        )

    def _looked_up(self, node: ast.Subscript, depth: int) -> str:
        """Return what `sys.modules["os"]` or `os.__dict__["system"]` names."""
        key, of = self.folded(node.slice), self.dotted(node.value, depth + 1)[0]
        if key is None:
            return ""
        if of.endswith(("__builtins__", "sys.modules", "globals()", "locals()")):
            return key
        return f"{of.removesuffix('.__dict__')}.{key}" if of.endswith(".__dict__") else ""

    def _fetched(self, call: ast.Call, depth: int) -> tuple[str, bool]:
        """Return what `__import__("os")`, `getattr(os, "system")` and their like give."""
        name = self.dotted(call.func, depth + 1)[0]
        if name in ("globals", "locals", "vars") and not call.args:
            return f"{name}()", True
        if name == "vars" and call.args:
            return f"{self.dotted(call.args[0], depth + 1)[0]}.__dict__", True
        if name in ("__import__", "importlib.import_module", "importlib.__import__") and call.args:
            return self.folded(call.args[0]) or "", True
        if name == "getattr" and len(call.args) > 1:
            of, attribute = self.dotted(call.args[0], depth + 1)[0], self.folded(call.args[1])
            return (f"{of}.{attribute}" if of and attribute else ""), True
        return (f"{name}()" if name else ""), False

    # constants -------------------------------------------------------------------------------------

    def folded(self, node: ast.AST | None, depth: int = 0) -> str | None:
        """Return the text that an expression of constants is, or None."""
        if node is None or depth > MAX_DEPTH:
            return None
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bytes):
                return node.value[:MAX_FOLDED].decode("latin-1")
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            return self.constants.get(node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.folded(node.left, depth + 1), self.folded(node.right, depth + 1)
            return None if left is None or right is None else (left + right)[:MAX_FOLDED]
        if isinstance(node, ast.JoinedStr):
            pieces = [
                self.folded(part.value if isinstance(part, ast.FormattedValue) else part, depth + 1)
                for part in node.values[:200]
            ]
            return None if None in pieces else "".join(p for p in pieces if p is not None)[:MAX_FOLDED]
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            text, step = self.folded(node.value, depth + 1), node.slice.step
            backwards = isinstance(step, ast.UnaryOp) and isinstance(step.op, ast.USub)
            return text[::-1] if text is not None and backwards else None
        return self._called(node, depth) if isinstance(node, ast.Call) else None

    def _method(self, node: ast.Call, method: str, text: str, depth: int) -> str | None:
        """Return what a method of a constant text gives."""
        if method == "join" and node.args:
            items = node.args[0].elts[:500] if isinstance(node.args[0], (ast.List, ast.Tuple)) else []
            parts = [part for item in items if (part := self.folded(item, depth + 1)) is not None]
            return text.join(parts)[:MAX_FOLDED] if items and len(parts) == len(items) else None
        if method == "replace" and len(node.args) == 2:
            old, new = (self.folded(part, depth + 1) for part in node.args)
            return text.replace(old, new)[:MAX_FOLDED] if old and new is not None else None
        return text.lower() if method == "lower" else text

    def _called(self, node: ast.Call, depth: int) -> str | None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            text = self.folded(node.func.value, depth + 1)
            if text is not None:
                return self._method(node, node.func.attr, text, depth)
        name = self.dotted(node.func, depth + 1)[0]
        first = node.args[0] if node.args else None
        if name == "chr" and isinstance(first, ast.Constant) and isinstance(first.value, int):
            return chr(first.value) if 0 <= first.value < 0x110000 else None
        text = self.folded(first, depth + 1)
        if text is None or len(text) > MAX_FOLDED:
            return None
        try:
            if name.endswith(("b64decode", "urlsafe_b64decode", "decodebytes")):
                return base64.b64decode(text + "=" * (-len(text) % 4)).decode("latin-1")
            if name in ("bytes.fromhex", "bytearray.fromhex", "binascii.unhexlify", "binascii.a2b_hex"):
                return bytes.fromhex(text).decode("latin-1")
        except (ValueError, binascii.Error):
            return None
        if name == "codecs.decode" and len(node.args) > 1 and self.folded(node.args[1]) in _ROT13:
            return codecs.decode(text, "rot13")
        return text if name in ("str", "bytes") else None
