"""What the OpenAPI document says about each route that analyses a radiograph: its body and its problems."""

from typing import Any, Final

from app import errors

BINARY: Final = {"type": "string", "format": "binary"}
BODY: Final = {
    "required": True,
    "description": "One radiograph (PNG, JPEG, TIFF, BMP or DICOM), as the part `file` of a form or as the raw body "
    "of any declared type.",
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": {"file": BINARY}}},
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


def problem_responses(*problems: type[errors.Problem]) -> dict[int | str, dict[str, Any]]:
    """The answers of these problems by status, with their headers, as they are sent."""
    by_status: dict[int | str, list[type[errors.Problem]]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, []).append(problem)
    return {
        status: {
            "description": "; ".join(problem.title for problem in found),
            "headers": _HEADERS.get(status, {}),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemReport"}}},
        }
        for status, found in by_status.items()
    }


_HEADERS: Final[dict[int | str, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}},
    **{
        status: {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
        for status in (503, 504)
    },
}
"""By status, beside those of every answer."""
PROBLEM_RESPONSES: Final = problem_responses(
    errors.NoFile,
    errors.EmptyFile,
    errors.InvalidParameter,
    errors.Unauthorised,
    errors.NotAcceptable,
    errors.UploadTooLarge,
    errors.UnsupportedFormat,
    errors.UnreadableImage,
    errors.ImageTooLarge,
    errors.ImageTooSmall,
    errors.UnsupportedDicom,
    errors.Internal,
    errors.Overloaded,
    errors.NotReady,
    errors.DeadlineExceeded,
)
"""Of each route that analyses a radiograph."""
