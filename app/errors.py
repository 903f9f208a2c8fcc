"""Every problem that the service answers with, as data (RFC 9457 problem details).

A class carries its HTTP status, stable code and title; an instance carries the detail for one request.
"""

from collections.abc import Mapping
from typing import ClassVar


class Problem(Exception):
    """A request that cannot be answered as asked.

    Attributes:
        status: HTTP status.
        code: stable machine-readable code; clients may rely on it.
        title: short human-readable summary, the same for every occurrence of the code.
        detail: what was wrong with this request; never holds the upload's name or content.
        headers: response headers that belong to this occurrence (``Retry-After``, ``WWW-Authenticate``).
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})


class NoFile(Problem):
    status, code, title = 400, "no_file", "No radiograph in the request"


class EmptyFile(Problem):
    status, code, title = 400, "empty_file", "The upload is empty"


class InvalidParameter(Problem):
    status, code, title = 400, "invalid_parameter", "A parameter is not valid"


class InvalidRequest(Problem):
    status, code, title = 400, "invalid_request", "Not an HTTP request"


class Unauthorised(Problem):
    status, code, title = 401, "unauthorised", "Authentication needed"


class NotFound(Problem):
    status, code, title = 404, "not_found", "No such resource"


class MethodNotAllowed(Problem):
    status, code, title = 405, "method_not_allowed", "Method not allowed"


class NotAcceptable(Problem):
    status, code, title = 406, "not_acceptable", "No such representation"


class UploadTooLarge(Problem):
    status, code, title = 413, "upload_too_large", "The upload is too large"


class UnsupportedFormat(Problem):
    status, code, title = 415, "unsupported_format", "Not a picture format this service reads"


class UnreadableImage(Problem):
    status, code, title = 422, "unreadable_image", "The picture cannot be decoded"


class ImageTooLarge(Problem):
    status, code, title = 422, "image_too_large", "The picture has too many pixels"


class ImageTooSmall(Problem):
    status, code, title = 422, "image_too_small", "The picture has too few pixels"


class UnsupportedDicom(Problem):
    status, code, title = 422, "unsupported_dicom", "Not a DICOM object this service reads"


class DifferentPatients(Problem):
    status, code, title = 422, "different_patients", "The radiographs are of different patients"


class HeadersTooLarge(Problem):
    status, code, title = 431, "headers_too_large", "The request's headers are too large"


class Internal(Problem):
    status, code, title = 500, "internal", "Internal error"


class Overloaded(Problem):
    status, code, title = 503, "overloaded", "Too many requests in flight"


class NotReady(Problem):
    status, code, title = 503, "not_ready", "The service is not ready"


class DeadlineExceeded(Problem):
    status, code, title = 504, "deadline_exceeded", "The deadline passed"
