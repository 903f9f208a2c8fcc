/** Sends requests to the service that this page came from, and to no one else. */

/** Why there is no answer; ``code`` is the service's own, or “unreachable”. */
export class Problem extends Error {
  constructor({ title, detail = "", code, request_id = "" }) {
    super(title);
    Object.assign(this, { title, detail, code, requestId: request_id });
  }
}

const JSON_TYPE = "application/json";
const DICOM_TYPE = "application/dicom";
const PAGE = { radiograph: "true", contours: "true", overlay: "false", uncertainty: "true" };
const NO_PICTURE = { overlay: "false", uncertainty: "true" };

/** The results that can be downloaded, in their order: how each is asked for, and the name of its file. */
export const RESULTS = {
  seg: { path: "segment", type: DICOM_TYPE, file: "segmentation.dcm", onlyDicom: true },
  sr: { path: "reports/sr", type: DICOM_TYPE, file: "report.dcm", onlyDicom: true },
  sc: { path: "reports/sc", type: DICOM_TYPE, file: "capture.dcm", onlyDicom: true },
  pr: { path: "reports/pr", type: DICOM_TYPE, file: "presentation.dcm", onlyDicom: true },
  fhir: {
    path: "reports/fhir",
    type: "application/fhir+json",
    file: "fhir.json",
    onlyDicom: true,
    parameters: { uncertainty: "true" },
  },
  text: { path: "score", type: "text/plain", file: "report.txt", parameters: NO_PICTURE },
  json: { path: "score", type: JSON_TYPE, file: "report.json", parameters: NO_PICTURE },
};

/** The address to which a radiograph is sent; an empty threshold means the model's. */
export function address({ threshold, polarity }, path = "segment", parameters = PAGE) {
  const url = new URL(path, document.baseURI);
  Object.entries(parameters).forEach(([name, value]) => url.searchParams.set(name, value));
  if (threshold !== "") url.searchParams.set("threshold", threshold);
  if (polarity !== "as_is") url.searchParams.set("polarity", polarity);
  return url;
}

/**
 * Sends one radiograph and returns its report.
 *
 * Throws a Problem, or an AbortError once ``signal`` is aborted.
 */
export async function segment(url, file, key, signal) {
  const response = await post(url, JSON_TYPE, file, key, signal);
  const answer = await response.json().catch(() => null);
  signal.throwIfAborted();
  if (answer) return answer;
  throw new Problem(foreign(response));
}

/** Sends two radiographs of one patient and returns what changed; throws as ``segment``. */
export async function compare(settings, earlier, later, key, signal) {
  const form = new FormData();
  // The part's name stands for the file's, which may name the patient.
  form.append("earlier", earlier, "earlier");
  form.append("later", later, "later");
  const response = await post(address(settings, "compare", {}), JSON_TYPE, form, key, signal);
  const answer = await response.json().catch(() => null);
  signal.throwIfAborted();
  if (answer) return answer;
  throw new Problem(foreign(response));
}

/** Sends a radiograph and returns one of its ``RESULTS`` as a Blob; throws as ``segment``. */
export async function result(name, settings, file, key, signal) {
  const { path, type, parameters = {} } = RESULTS[name];
  const response = await post(address(settings, path, parameters), type, file, key, signal);
  const content = await response.blob().catch(() => null);
  signal.throwIfAborted();
  // A proxy's page must not become a file.
  const [given] = (response.headers.get("Content-Type") ?? "").split(";");
  if (content && given.trim().toLowerCase() === type) return content;
  throw new Problem(foreign(response));
}

/**
 * The response to a radiograph; throws a Problem for any other status than success.
 *
 * One radiograph is sent as the raw body, as a form would also send the file's name.
 */
async function post(url, type, body, key, signal) {
  const headers = { Accept: type };
  // A form names its own boundary.
  if (!(body instanceof FormData)) headers["Content-Type"] = "application/octet-stream";
  if (key) headers["X-API-Key"] = key;
  const response = await reach(url, { method: "POST", body, headers, signal });
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  signal.throwIfAborted();
  throw new Problem(problem?.code ? problem : foreign(response));
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
