"""Checks docs/openapi.json by itself: it is OpenAPI 3.1, and each of its examples fits its schema.

    python document.py docs/openapi.json
"""
import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate


def with_examples(document, node, path):
    """Every media type object, header and parameter below a node, with its path."""
    if isinstance(node, dict):
        if "schema" in node:
            yield path, node
        for name, value in node.items():
            if name not in ("schema", "example", "examples"):
                yield from with_examples(document, value, f"{path}/{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from with_examples(document, value, f"{path}/{number}")


def main(path: str) -> int:
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    validate(document)
    faults, checked = [], 0
    for place, node in with_examples(document, document, "#"):
        examples = [value["value"] for value in node.get("examples", {}).values()]
        if "example" in node:
            examples.append(node["example"])
        # The references of a schema are those of the document.
        schema = {"components": document["components"], "allOf": [node["schema"]]}
        for example in examples:
            checked += 1
            for error in Draft202012Validator(schema).iter_errors(example):
                faults.append(f"{place}: {error.json_path}: {error.message}")
    names = {name for name in document["components"]["schemas"]}
    text = json.dumps(document)
    faults += [f"nothing refers to {name}" for name in names if f'schemas/{name}"' not in text]
    print("\n".join(faults) or f"{path}: {checked} examples fit")
    return 1 if faults or checked < 20 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
