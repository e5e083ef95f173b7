"""Every type of problem that an answer may carry: its status, its stable name, what it means in general."""

from __future__ import annotations

from dataclasses import dataclass


class UnknownProblem(Exception):
    """No problem type has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no problem type {name[:80]!r}; the type of every error answer is one.")


@dataclass(frozen=True)
class Problem:
    """One type of problem: `name` ends its URI, `about` is the sentence that GET /problems/{name} gives."""

    status: int
    name: str
    title: str
    about: str

    @property
    def type(self) -> str:
        return f"/problems/{self.name}"


PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem(
            400,
            "bad-parameter",
            "A parameter is wrong",
            "A query or path parameter has a value that the call does not take.",
        ),
        Problem(
            400,
            "bad-upload",
            "The upload is malformed",
            "The multipart body is damaged or does not hold the file field that the call takes.",
        ),
        Problem(
            400,
            "bad-request",
            "The request is malformed",
            "The request could not be read as HTTP or as a form.",
        ),
        Problem(
            400,
            "too-many-ahead",
            "Too many requests were sent ahead",
            "A connection may bring 32 requests before the first of them is answered.",
        ),
        Problem(
            400,
            "client-gone",
            "The client went away",
            "The connection ended before the whole request had come; nobody reads this answer.",
        ),
        Problem(
            401,
            "key-missing",
            "A key is needed",
            "The call takes a key as 'Authorization: Bearer KEY'; whoever runs the server gives them out.",
        ),
        Problem(
            403,
            "key-refused",
            "The key does not open this",
            "The key sent is none of this server's, or not one for this call.",
        ),
        Problem(
            403,
            "operator-calls-off",
            "Operator calls are off",
            "The server was started without an operator key, so nobody may promote or roll back over HTTP.",
        ),
        Problem(
            403,
            "other-origin",
            "Pages of other origins may send nothing",
            "A browser says that another origin's page sent this; SAYSEE_CORS_ORIGINS lists those that may.",
        ),
        Problem(404, "no-such-address", "There is no such address", "No call of this service has that path."),
        Problem(
            404,
            "unknown-item",
            "There is no such item",
            "The collection has no item of that id in the generation being served.",
        ),
        Problem(
            404,
            "unknown-collection",
            "There is no such collection",
            "The generation being served has no collection of that name.",
        ),
        Problem(
            404,
            "unknown-generation",
            "There is no such generation",
            "The index has no generation of that id.",
        ),
        Problem(
            404, "no-thumbnail", "The item has no thumbnail", "The item was indexed without a thumbnail."
        ),
        Problem(404, "no-map", "There is no map", "The generation being served was built without a map."),
        Problem(404, "unknown-problem", "There is no such problem", "No problem type has that name."),
        Problem(
            405,
            "wrong-method",
            "The method is wrong",
            "The path exists, but not with that method; the Allow header says which it takes.",
        ),
        Problem(
            408,
            "request-too-slow",
            "The request came too slowly",
            "A head may take 10 s to come, a body 20 s, and longer while it comes at 1,000 bytes a second.",
        ),
        Problem(
            409,
            "generation-refused",
            "The generation cannot be served",
            "Loaded aside, it did not pass: it is damaged, or its model and vectors are not of one making. "
            "What was served is served still.",
        ),
        Problem(
            409,
            "nothing-to-roll-back",
            "There is nothing to roll back to",
            "No generation that was promoted earlier is left.",
        ),
        Problem(
            409,
            "build-conflict",
            "The index is being changed",
            "Another process is building, promoting or pruning; try again when it is done.",
        ),
        Problem(
            409,
            "index-unwritable",
            "The index cannot be changed from here",
            "This server may read the index and not change it; promote where it can be written.",
        ),
        Problem(
            410,
            "media-gone",
            "The media file is gone",
            "The item is indexed, but its file was moved, deleted or changed since.",
        ),
        Problem(
            413,
            "body-too-large",
            "The request is too large",
            "The request body is over the limit that /v1/limits gives.",
        ),
        Problem(
            413,
            "media-too-large",
            "The media is too large",
            "The file, its picture or its channels are over a limit that /v1/limits gives.",
        ),
        Problem(
            413,
            "media-too-long",
            "The clip is too long",
            "The clip is longer than the limit that /v1/limits gives.",
        ),
        Problem(
            415,
            "unsupported-media",
            "The media is not audio or a picture",
            "The bytes are of no format that is read here; names and declared types play no part.",
        ),
        Problem(
            416,
            "range-not-satisfiable",
            "The range is outside the file",
            "The Range header asks for bytes that the file does not have.",
        ),
        Problem(
            421,
            "wrong-host",
            "The host name is not this server's",
            "The Host header has a name that the server is not served under, as it would come from a page "
            "elsewhere whose name was pointed here; --allowed-host adds a name.",
        ),
        Problem(
            422,
            "undecodable-media",
            "The media cannot be decoded",
            "The bytes begin like audio or a picture, but no decoder gets through them to their end.",
        ),
        Problem(
            422, "empty-media", "The media is empty", "There are no bytes, or no samples or pixels in them."
        ),
        Problem(
            422,
            "silent-media",
            "The clip is silent",
            "Nothing in the clip is louder than the limit that /v1/limits gives.",
        ),
        Problem(
            422,
            "too-short-media",
            "The clip is too short",
            "The clip is shorter than the limit that /v1/limits gives.",
        ),
        Problem(
            429,
            "too-fast",
            "Too many queries",
            "This client sends more queries a second than /v1/limits gives; Retry-After says when to go on.",
        ),
        Problem(
            431,
            "head-too-large",
            "The head of the request is too large",
            "The address and the headers of a request may have 65,536 bytes together.",
        ),
        Problem(
            500,
            "internal-error",
            "Something is wrong on this side",
            "The server met a fault of its own; it is in its log.",
        ),
        Problem(
            503,
            "overloaded",
            "The server has too much to do",
            "More work waits than can be done in time, so this query was not taken on; Retry-After says when "
            "there will be room.",
        ),
        Problem(
            503,
            "out-of-time",
            "The answer was not ready in time",
            "The query was taken on and given up at its deadline, which /v1/limits gives; Retry-After says "
            "when to try again.",
        ),
        Problem(
            503,
            "not-ready",
            "The server is not ready",
            "Nothing can be served at this moment; Retry-After says when to try again.",
        ),
        Problem(
            503,
            "index-failed",
            "The index cannot answer",
            "The generation being served failed while it answered.",
        ),
        Problem(
            503,
            "encoder-failed",
            "The model cannot answer",
            "The encoder failed on media that was decoded well.",
        ),
    )
}
