"""What the OpenAPI document says about each route that analyses a radiograph: its body and its problems."""

from typing import Any, Final

from app import errors

BINARY: Final = {"type": "string", "format": "binary"}
BODY: Final = {
    "required": True,
    "description": "One radiograph (PNG, JPEG, TIFF, BMP or DICOM), as the part `file` of a form or as the raw body.",
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": BINARY}}},
        **{
            media_type: {"schema": BINARY}
            for media_type in ("image/png", "image/jpeg", "image/tiff", "image/bmp", "application/dicom")
        },
        "application/octet-stream": {"schema": BINARY},
    },
}
PAIR_BODY: Final = {
    "required": True,
    "description": "Two radiographs of the same patient, each PNG, JPEG, TIFF, BMP or DICOM.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["earlier", "later"],
                "properties": {"earlier": BINARY, "later": BINARY},
            }
        }
    },
}
_PROBLEMS: Final = (
    errors.NoFile,
    errors.Unauthorised,
    errors.NotAcceptable,
    errors.UploadTooLarge,
    errors.UnsupportedFormat,
    errors.UnreadableImage,
    errors.Overloaded,
    errors.DeadlineExceeded,
)
PROBLEM_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    problem.status: {
        "description": problem.title,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemReport"}}},
    }
    for problem in _PROBLEMS
}
