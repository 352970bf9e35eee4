# SPDX-License-Identifier: BSD-3-Clause
"""Validates JSON documents: json-schema.py SCHEMA DOCUMENT...

All of JSON Schema draft 7 that the schema of SARIF uses; a keyword that is not known here is an error, so that nothing is
passed over in silence. Prints each violation with its path, then "N documents, M violations".
"""
import json
import re
import sys

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v == int(v),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}
# RFC 3986 without its rarities; RFC 3339.
FORMATS = {
    "uri": r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*",
    "uri-reference": r"(?:[^\s<>\"{}|\\^`%]|%[0-9A-Fa-f]{2})*",
    "date-time": r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)",
}
NOTES = {"$schema", "$id", "id", "title", "description", "default", "definitions", "$comment", "examples", "additionalItems"}


class Validator:
    def __init__(self, schema):
        self.root = schema
        self.wrong = []

    def resolve(self, reference):
        assert reference.startswith("#/"), reference
        node = self.root
        for part in reference[2:].split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node

    def fits(self, value, schema, path):
        quiet = Validator(self.root)
        quiet.check(value, schema, path)
        return not quiet.wrong

    def check(self, value, schema, path):
        if isinstance(schema, bool):
            if not schema:
                self.fail(path, "is not allowed")
            return
        if "$ref" in schema:
            return self.check(value, self.resolve(schema["$ref"]), path)
        for keyword, wanted in schema.items():
            if keyword in NOTES:
                continue
            method = getattr(self, "on_" + keyword, None)
            assert method, "unknown keyword '%s' at %s" % (keyword, path)
            method(value, wanted, schema, path)

    def fail(self, path, text):
        self.wrong.append("%s: %s" % (path or "/", text))

    def expect(self, good, path, text):
        if not good:
            self.fail(path, text)

    def on_type(self, value, wanted, schema, path):
        kinds = wanted if isinstance(wanted, list) else [wanted]
        self.expect(any(TYPES[k](value) for k in kinds), path, "is no " + " or ".join(kinds))

    def on_enum(self, value, wanted, schema, path):
        self.expect(value in wanted, path, "%r is none of %s" % (value, wanted))

    def on_const(self, value, wanted, schema, path):
        self.expect(value == wanted, path, "%r is not %r" % (value, wanted))

    def on_required(self, value, wanted, schema, path):
        if isinstance(value, dict):
            for name in wanted:
                self.expect(name in value, path, "lacks '%s'" % name)

    def on_properties(self, value, wanted, schema, path):
        if isinstance(value, dict):
            for name in wanted.keys() & value.keys():
                self.check(value[name], wanted[name], path + "/" + name)

    def on_patternProperties(self, value, wanted, schema, path):
        if isinstance(value, dict):
            for pattern, inner in wanted.items():
                for name in value:
                    if re.search(pattern, name):
                        self.check(value[name], inner, path + "/" + name)

    def on_additionalProperties(self, value, wanted, schema, path):
        if isinstance(value, dict):
            for name in value.keys() - schema.get("properties", {}).keys():
                if not any(re.search(p, name) for p in schema.get("patternProperties", {})):
                    self.check(value[name], wanted, path + "/" + name)

    def on_items(self, value, wanted, schema, path):
        if isinstance(value, list):
            for i, item in enumerate(value):
                self.check(item, wanted, "%s/%d" % (path, i))

    def on_minItems(self, value, wanted, schema, path):
        self.expect(not isinstance(value, list) or len(value) >= wanted, path, "has fewer than %d items" % wanted)

    def on_maxItems(self, value, wanted, schema, path):
        self.expect(not isinstance(value, list) or len(value) <= wanted, path, "has more than %d items" % wanted)

    def on_uniqueItems(self, value, wanted, schema, path):
        if wanted and isinstance(value, list):
            texts = [json.dumps(item, sort_keys=True) for item in value]
            self.expect(len(set(texts)) == len(texts), path, "repeats an item")

    def on_minimum(self, value, wanted, schema, path):
        self.expect(not TYPES["number"](value) or value >= wanted, path, "is below %s" % wanted)

    def on_maximum(self, value, wanted, schema, path):
        self.expect(not TYPES["number"](value) or value <= wanted, path, "is above %s" % wanted)

    def on_minLength(self, value, wanted, schema, path):
        self.expect(not isinstance(value, str) or len(value) >= wanted, path, "is too short")

    def on_pattern(self, value, wanted, schema, path):
        self.expect(not isinstance(value, str) or re.search(wanted, value), path, "does not match " + wanted)

    def on_format(self, value, wanted, schema, path):
        assert wanted in FORMATS, "unknown format '%s'" % wanted
        self.expect(not isinstance(value, str) or re.fullmatch(FORMATS[wanted], value), path, "is no " + wanted)

    def on_anyOf(self, value, wanted, schema, path):
        self.expect(any(self.fits(value, s, path) for s in wanted), path, "fits none of the choices")

    def on_oneOf(self, value, wanted, schema, path):
        self.expect(sum(self.fits(value, s, path) for s in wanted) == 1, path, "does not fit exactly one of the choices")

    def on_allOf(self, value, wanted, schema, path):
        for inner in wanted:
            self.check(value, inner, path)

    def on_not(self, value, wanted, schema, path):
        self.expect(not self.fits(value, wanted, path), path, "fits what it must not")

    def on_dependencies(self, value, wanted, schema, path):
        for name, others in wanted.items():
            if isinstance(value, dict) and name in value:
                self.on_required(value, others, schema, path)


def main():
    schema = json.load(open(sys.argv[1], encoding="utf-8"))
    count = 0
    for file in sys.argv[2:]:
        validator = Validator(schema)
        validator.check(json.load(open(file, encoding="utf-8")), schema, "")
        for text in validator.wrong:
            print("%s: %s" % (file, text))
        count += len(validator.wrong)
    print("%d documents, %d violations" % (len(sys.argv) - 2, count))
    return count != 0


sys.exit(main())
