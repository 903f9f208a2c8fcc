/** The page: takes a radiograph and shows its report. Nothing is kept outside the page's own memory. */

import { copyText, curlCommand } from "./command.js";
import { showComparison, tellComparison } from "./comparison.js";
import { handOver, showDownloads, tellDownload } from "./downloads.js";
import { decodeLayers } from "./layers.js";
import { Picture } from "./picture.js";
import { sentence, showProblem, showReport } from "./report.js";
import { Problem, RESULTS, address, compare, result, segment } from "./service.js";
import { bytes, percent } from "./words.js";

const $ = (id) => document.getElementById(id);
const picture = new Picture($("picture"), $("stage"));

let radiograph = null;
let key = "";
let needsKey = false;
/** Ends the analysis, and the downloads of its results. */
let running = null;
/** What the shown result was made from. */
let shown = null;

/** Shows one of the page's states: empty, busy, done, failed. */
function turn(state, words) {
  $("stage").dataset.state = state;
  $("status").textContent = words;
  $("about").hidden = state !== "empty";
  $("report").hidden = state !== "done";
  $("problem").hidden = state !== "failed";
  if (state !== "failed") $("problem").replaceChildren();
  $("same").hidden = state !== "done";
  $("cancel").hidden = state !== "busy";
  $("again").disabled = state === "busy" || radiograph === null;
  $("invitation").hidden = state === "done" || (state === "busy" && !$("picture").hidden);
}

function choose(files) {
  if (files.length === 0) return;
  running?.abort();
  if (files.length > 1) {
    radiograph = null;
    fail(new Problem({ title: "One radiograph at a time", code: "several_files", detail: "Choose or drop one file." }));
    return;
  }
  radiograph = files[0];
  clearPicture("No result yet");
  turn("empty", `${radiograph.name} is chosen.`);
  analyse();
}

async function analyse() {
  if (radiograph === null || !$("controls").reportValidity()) return;
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const settings = { threshold: $("threshold").value, polarity: $("polarity").value };
  const url = address(settings);
  turn("busy", `Analysing ${radiograph.name} (${bytes(radiograph.size)})…`);
  try {
    const report = await segment(url, radiograph, key, mine.signal);
    const layers = await decodeLayers(report);
    mine.signal.throwIfAborted();
    shown = { radiograph, settings, signal: mine.signal };
    show(report, layers, url);
  } catch (error) {
    if (!mine.signal.aborted) fail(error);
  }
}

function show(report, layers, url) {
  $("key-form").hidden = true;
  picture.layers = layers;
  const lungs = layers.zones.length ? "with the lungs outlined and disease tinted red" : "in which no lungs were found";
  $("picture").setAttribute("aria-label", `Radiograph ${lungs}. ${sentence(report)}`);
  showReport(report);
  showDownloads(report.image.format);
  showComparison(null);
  $("copy").textContent = "Copy";
  $("command").textContent = curlCommand(url, radiograph.name, needsKey);
  turn("done", `${radiograph.name}: ${sentence(report)}`);
}

function fail(error) {
  clearPicture("No radiograph");
  turn("failed", "No result.");
  complain(error);
}

/** Fetches one of the shown radiograph's results; the page stays as it is, also where that fails. */
async function download(button) {
  const { radiograph, settings, signal } = shown;
  const { result: name } = button.dataset;
  const { file } = RESULTS[name];
  // Not disabled, as that would take the focus away.
  button.setAttribute("aria-disabled", "true");
  $("problem").hidden = true;
  tellDownload(`Making ${file}…`);
  try {
    handOver(await result(name, settings, radiograph, key, signal), file);
    tellDownload(`${file} is in the browser’s downloads.`);
  } catch (error) {
    if (signal.aborted) return;
    tellDownload(`${file} could not be made.`);
    complain(error);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** Compares the shown radiograph with an earlier one; the page's result stays as it is, also where that fails. */
async function compareWith(earlier) {
  const { radiograph, settings, signal } = shown;
  $("problem").hidden = true;
  await showComparison(null);
  tellComparison(`Comparing with ${earlier.name}…`);
  try {
    await showComparison(await compare(settings, earlier, radiograph, key, signal));
  } catch (error) {
    if (signal.aborted) return;
    tellComparison(`${earlier.name} could not be compared.`);
    complain(error);
  }
}

/** Says why there is no result, or no file. */
function complain(error) {
  $("problem").hidden = false;
  showProblem(error);
  $("problem").scrollIntoView({ block: "nearest" });
  if (error.code === "unauthorised") {
    needsKey = true;
    $("key-form").hidden = false;
    $("key").focus();
  }
  if (!(error instanceof Problem)) throw error;
}

function clearPicture(words) {
  picture.layers = null;
  $("picture").setAttribute("aria-label", words);
}

$("file").addEventListener("change", () => {
  choose([...$("file").files]);
  // Without this, choosing the same file again, for instance after a change, would fire no event.
  $("file").value = "";
});
$("earlier").addEventListener("change", () => {
  const [earlier] = $("earlier").files;
  if (earlier) compareWith(earlier);
  $("earlier").value = "";
});
$("invitation").addEventListener("click", () => $("file").click());
$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  analyse();
});
$("cancel").addEventListener("click", () => {
  running.abort();
  clearPicture("No radiograph");
  turn("empty", "Cancelled.");
  $("again").focus();
});
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  $("key").value = "";
  analyse();
});

// The whole page accepts a drop, as one that misses the stage would make the browser leave the page.
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("stage").classList.toggle("over", kind === "dragover");
    if (kind === "drop") choose([...event.dataTransfer.files]);
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) $("stage").classList.remove("over");
});
document.addEventListener("paste", (event) => choose([...event.clipboardData.files]));

for (const layer of ["lungs", "zones", "disease"]) {
  $(`show-${layer}`).addEventListener("change", (event) => picture.show({ [layer]: event.target.checked }));
}
$("opacity").addEventListener("input", (event) => {
  const opacity = event.target.valueAsNumber / 100;
  $("opacity-value").textContent = percent(opacity, 0);
  picture.show({ opacity });
});
for (const cell of document.querySelectorAll("[data-zone]")) {
  cell.addEventListener("pointerenter", () => picture.show({ marked: cell.dataset.zone }));
  cell.addEventListener("pointerleave", () => picture.show({ marked: null }));
}
$("downloads").addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button && !button.hasAttribute("aria-disabled")) download(button);
});
$("copy").addEventListener("click", async () => {
  $("copy").textContent = (await copyText($("command"))) ? "Copied" : "Selected";
});
