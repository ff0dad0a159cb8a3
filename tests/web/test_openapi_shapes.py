from __future__ import annotations

from lib.web.openapi_shapes import STRING, array, constant, ref, shape


def test_a_shape_requires_what_is_always_there() -> None:
    made = shape("A thing.", {"note": STRING}, id=STRING, kind=constant("a", None))
    assert made["required"] == ["id", "kind"]
    assert list(made["properties"]) == ["id", "kind", "note"]
    assert made["properties"]["kind"] == {"enum": ["a", None]}
    assert made["description"] == "A thing."
    assert "description" not in shape(id=STRING)


def test_small_parts() -> None:
    assert array(ref("Model")) == {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
    assert constant("list") == {"const": "list"}
