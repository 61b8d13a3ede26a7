"""Parses the Kotlin, Swift and Dart code of docs/frontend with tree-sitter's grammars.

Relies on the packages of native_requirements.txt. It finds syntax errors, and never compiles:
names and types are not checked. Prints each block's language and length; exits 1 on an error.
"""

import pathlib
import re
import sys

import tree_sitter
import tree_sitter_dart
import tree_sitter_kotlin
import tree_sitter_swift

GRAMMARS = {
    "kotlin": tree_sitter_kotlin.language(),
    "swift": tree_sitter_swift.language(),
    "dart": tree_sitter_dart.language(),
}
PAGES = pathlib.Path(__file__).parents[2] / "docs" / "frontend"


def errors(node):
    """The nodes that the grammar could not place, outermost first."""
    if node.type == "ERROR" or node.is_missing:
        yield node
        return
    for child in node.children:
        yield from errors(child)


def main():
    parsed, faults = 0, 0
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```(\w+).*\n((?s:.*?))^```$", text, re.MULTILINE):
            language, code = block.groups()
            if language not in GRAMMARS:
                continue
            parsed += 1
            first = text[: block.start(2)].count("\n") + 1
            parser = tree_sitter.Parser(tree_sitter.Language(GRAMMARS[language]))
            for node in errors(parser.parse(code.encode()).root_node):
                faults += 1
                line = first + node.start_point.row
                print(f"{page.name}:{line}: {language}: syntax error", file=sys.stderr)
            print(f"{page.name}: {language}, {code.count(chr(10))} lines")
    if parsed < 8:
        print(f"only {parsed} blocks were found", file=sys.stderr)
        faults += 1
    sys.exit(1 if faults else 0)


main()
