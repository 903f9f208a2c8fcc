/** Sends requests to the service that this page came from, and to no one else. */

/** Why there is no answer; ``code`` is the service's own, or “unreachable”. */
export class Problem extends Error {
  constructor({ title, detail = "", code, request_id = "" }) {
    super(title);
    Object.assign(this, { title, detail, code, requestId: request_id });
  }
}

/** The address to which a radiograph is sent; an empty threshold means the model's. */
export function address({ threshold, polarity }) {
  const url = new URL("segment", document.baseURI);
  url.searchParams.set("radiograph", "true");
  url.searchParams.set("contours", "true");
  url.searchParams.set("overlay", "false");
  url.searchParams.set("uncertainty", "true");
  if (threshold !== "") url.searchParams.set("threshold", threshold);
  if (polarity !== "as_is") url.searchParams.set("polarity", polarity);
  return url;
}

/**
 * Sends one radiograph and returns its report.
 *
 * The bytes are sent as the raw body, as a form would also send the file's name.
 * Throws a Problem, or an AbortError once ``signal`` is aborted.
 */
export async function segment(url, file, key, signal) {
  const headers = { Accept: "application/json", "Content-Type": "application/octet-stream" };
  if (key) headers["X-API-Key"] = key;
  const response = await reach(url, { method: "POST", body: file, headers, signal });
  const answer = await response.json().catch(() => null);
  signal.throwIfAborted();
  if (response.ok && answer) return answer;
  throw new Problem(answer?.code ? answer : foreign(response));
}

async function reach(url, request) {
  try {
    return await fetch(url, { ...request, cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" });
  } catch (error) {
    request.signal.throwIfAborted();
    if (!(error instanceof TypeError)) throw error;
    throw new Problem({
      title: "The service could not be reached",
      detail: "No answer came, or the connection ended while the radiograph was sent.",
      code: "unreachable",
    });
  }
}

/** The problem for an answer that is not the service's own, such as a proxy's. */
function foreign(response) {
  return {
    title: "The service gave no answer that this page can read",
    detail: `HTTP status ${response.status}`,
    code: "unreachable",
    request_id: response.headers.get("X-Request-ID") ?? "",
  };
}
