"""The JSON interface, described as OpenAPI 3.1."""

from collections.abc import Sequence
from typing import Any

from tenfold import __version__
from tenfold.serving.uploads import PICTURES

_FLAG = {"type": ["boolean", "null"]}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT = {"type": "string"}
_REFUSALS = {
    400: "There is no picture in the request, or more than one.",
    401: "The server wants a token and got none or a wrong one.",
    403: "Host or Origin names another site.",
    408: "The picture came too slowly.",
    413: "The picture has too many bytes or too many pixels.",
    415: "This is no picture, or not one in an accepted format.",
    422: "The picture is damaged, or the label is none of the model's classes.",
    431: "The header is too large.",
    500: "The server failed; its own output says why.",
    503: "The server is busy, or not ready; Retry-After says when to ask again.",
    507: "There is no room for further corrections.",
}
_UPLOAD = (400, 401, 403, 408, 413, 415, 422, 431, 500, 503)
_LOOK = (401, 403, 431, 500)


def openapi(name: str, class_names: Sequence[str]) -> dict[str, Any]:
    """The description of a server whose model is called `name`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"tenfold: {name}",
            "version": __version__,
            "description": "An image classifier. Send a picture to /predict; see docs/serving.md.",
        },
        "security": [{}, {"token": []}],
        "paths": {
            "/predict": {"post": _predict()},
            "/explain": {"post": _explain()},
            "/corrections": {"post": _correct(class_names)},
            "/model": {"get": _look("What the model is", "Model")},
            "/health": {"get": _look("Whether the process is alive", "Status")},
            "/ready": {"get": _look("Whether the model is loaded and answers", "Status", 503)},
            "/metrics": {"get": _metrics()},
            "/openapi.json": {"get": _look("This description", None)},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(class_names),
            "responses": {str(status): _refusal(status) for status in _REFUSALS},
        },
    }


def _predict() -> dict[str, Any]:
    return {
        "operationId": "predict",
        "summary": "Classify one picture",
        "requestBody": _body({}, [], raw=True),
        "responses": _responses(200, "The answer.", "Answer", _UPLOAD),
    }


def _explain() -> dict[str, Any]:
    return {
        "operationId": "explain",
        "summary": "Show which parts of a picture its answer rests on",
        "requestBody": _body({}, [], raw=True),
        "responses": _responses(200, "A map by occlusion.", "Explanation", _UPLOAD),
    }


def _correct(class_names: Sequence[str]) -> dict[str, Any]:
    return {
        "operationId": "correct",
        "summary": "Keep a picture as one of a class, to train with",
        "requestBody": _body({"label": {"type": "string", "enum": list(class_names)}}, ["label"], raw=False),
        "responses": _responses(201, "The picture was kept.", "Correction", (*_UPLOAD, 507)),
    }


def _metrics() -> dict[str, Any]:
    answers = {
        "200": {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": _TEXT}}},
        **_refused(_LOOK),
    }
    return {"operationId": "metrics", "summary": "Counts and times", "responses": answers}


def _look(summary: str, schema: str | None, *more: int) -> dict[str, Any]:
    return {"summary": summary, "responses": _responses(200, f"{summary}.", schema, (*_LOOK, *more))}


def _body(fields: dict[str, Any], required: list[str], *, raw: bool) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": {"image": binary, **fields},
        "required": ["image", *required],
        "additionalProperties": False,
    }
    kinds = ["application/octet-stream", *sorted(PICTURES)] if raw else []
    content = {"multipart/form-data": {"schema": form}, **{kind: {"schema": binary} for kind in kinds}}
    return {"required": True, "content": content}


def _responses(status: int, text: str, schema: str | None, refusals: Sequence[int]) -> dict[str, Any]:
    shape = {"type": "object"} if schema is None else {"$ref": f"#/components/schemas/{schema}"}
    good = {"description": text, "content": {"application/json": {"schema": shape}}}
    return {str(status): good, **_refused(refusals)}


def _refused(statuses: Sequence[int]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}


def _refusal(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": _REFUSALS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
    }
    if status == 503:
        answer["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        }
    return answer


def _object(properties: dict[str, Any], *, more: bool = False) -> dict[str, Any]:
    closed = {} if more else {"additionalProperties": False}
    return {"type": "object", "properties": properties, "required": list(properties), **closed}


def _schemas(class_names: Sequence[str]) -> dict[str, Any]:
    label = {"type": "string", "enum": list(class_names)}
    count = {"type": "integer", "minimum": 1}
    probabilities = _object(dict.fromkeys(class_names, _SHARE))
    said = {"path": _TEXT, "predicted": label, "probability": _SHARE}
    return {
        "Answer": _object({**said, "probabilities": probabilities, "unsure": _FLAG, "unlike": _FLAG}),
        "Explanation": _object(
            {
                "predicted": label,
                "picture": _TEXT,
                "heat": {"type": "array", "items": {"type": "array", "items": _SHARE}},
                "drop": _SHARE,
                "decisive": {"type": "boolean"},
            }
        ),
        "Correction": _object({**said, "label": label, "time": _TEXT, "folder": _TEXT}),
        "Model": _object(
            {
                "name": _TEXT,
                "class_names": {"type": "array", "items": _TEXT},
                "image": _object({"height": count, "width": count, "channels": count}),
                "largest_bytes": count,
                "largest_pixels": count,
                "corrections": {"type": ["string", "null"]},
            },
            more=True,
        ),
        "Status": _object({"status": _TEXT}),
        "Refusal": _object({"error": _TEXT}),
    }
