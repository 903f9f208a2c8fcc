/** Offers the results of the shown radiograph as files. */

import { RESULTS } from "./service.js";
import { DOWNLOADS } from "./words.js";

const $ = (id) => document.getElementById(id);

/** A button for each result that a radiograph of this format has. */
export function showDownloads(format) {
  const offered = Object.entries(RESULTS).filter(([, { onlyDicom }]) => format === "DICOM" || !onlyDicom);
  $("downloads").replaceChildren(...offered.map(([name, { file }]) => item(name, file)));
  tellDownload("");
}

/** Says how a download is going. */
export function tellDownload(words) {
  $("downloading").textContent = words;
}

/** Hands a file to the browser, which stores it or asks where to. */
export function handOver(content, file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = file;
  link.click();
  // Some browsers read the content only after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function item(name, file) {
  const [button, hint, entry] = ["button", "span", "li"].map((tag) => document.createElement(tag));
  button.type = "button";
  button.className = "small";
  button.dataset.result = name;
  hint.textContent = file;
  button.append(DOWNLOADS[name], " ", hint);
  entry.append(button);
  return entry;
}
