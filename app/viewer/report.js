/** Shows a report or a problem as text and tables. */

import { ADVICE, FLAGS, STEPS, percent } from "./words.js";

const $ = (id) => document.getElementById(id);

/** An element with attributes and children; text is never read as HTML. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  made.append(...children);
  return made;
}

export function showReport(report) {
  $("verdict").replaceChildren(...verdict(report));
  showFlags(report.quality.flags);
  report.zones.forEach((zone) => showZone(zone, report));
  fill($("facts"), facts(report));
  $("total").textContent = milliseconds(report.timings_ms.total);
  fill($("timings"), Object.entries(STEPS).map(([step, words]) => [words, milliseconds(report.timings_ms[step])]));
  fill($("models"), models(report.models));
  fill($("origin"), origin(report));
}

export function showProblem({ title, message, detail, code, requestId }) {
  const codes = [["Code", code ?? "page"], ["Request id", requestId]].filter(([, value]) => value);
  const list = element("dl", { class: "facts" });
  fill(list, codes);
  $("problem").replaceChildren(
    element("h3", {}, title ?? "This page failed"),
    ...[detail ?? message, ADVICE[code]].filter(Boolean).map((text) => element("p", {}, text)),
    list,
  );
}

/** The result in one sentence, for the status line and the picture's description. */
export function sentence({ score, max_score }) {
  return score === null ? "No score: this radiograph cannot be scored." : `${score} of ${max_score} lung zones affected`;
}

function verdict(report) {
  if (report.score === null) {
    const reasons = report.quality.flags.length ? " The flags say why." : "";
    return [
      element("p", { class: "no-score" }, "No score"),
      element("p", {}, `This radiograph cannot be scored.${reasons} That is not a score of zero.`),
    ];
  }
  const steps = Array.from({ length: report.max_score }, (_, index) =>
    element("span", { class: index < report.score ? "step on" : "step" }),
  );
  return [
    element("p", { class: "score", id: "score" }, String(report.score)),
    element(
      "div",
      { class: "meaning" },
      element("p", {}, `of ${report.max_score} lung zones affected`),
      element("div", { class: "steps", "aria-hidden": "true" }, ...steps),
    ),
  ];
}

function showFlags(codes) {
  $("flags").hidden = codes.length === 0;
  $("flag-list").replaceChildren(
    ...codes.map((code) => {
      const [name, meaning] = FLAGS[code] ?? [code, "This page has no description of it."];
      return element(
        "li",
        {},
        element("p", {}, element("strong", {}, name), " ", element("code", {}, code)),
        element("p", {}, meaning),
      );
    }),
  );
}

function showZone({ zone, share, affected, interval }, { threshold }) {
  const cell = document.querySelector(`[data-zone="${zone}"]`);
  cell.classList.toggle("affected", affected === true);
  if (share === null) {
    cell.replaceChildren(element("span", { class: "absent" }, "lung not found"));
    return;
  }
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", share);
  bar.style.setProperty("--threshold", threshold);
  const judged = affected ? "affected" : "not affected";
  cell.replaceChildren(
    element("span", { class: "share" }, percent(share)),
    element("span", { class: "judged" }, affected === null ? "not judged" : judged),
    ...(interval ? [element("span", { class: "interval" }, interval.map((end) => percent(end)).join(" to "))] : []),
    bar,
  );
}

function facts({ diseased_share, threshold, margin, disease_probability, uncertainty }) {
  return [
    ["Score, range", range(uncertainty)],
    ["Diseased share of both lungs", diseased_share === null ? "unknown" : percent(diseased_share)],
    ["A zone is affected over", percent(threshold)],
    ["Closest share to the threshold", margin === null ? null : `${(margin * 100).toFixed(1)} points away`],
    ["Probability of disease", disease_probability === null ? null : percent(disease_probability)],
  ];
}

/** The least and the greatest that the score could be, in words; null where not known. */
function range(uncertainty) {
  if (!uncertainty?.score_range) return null;
  const [least, most] = uncertainty.score_range;
  const scores = least === most ? `${least}` : `${least} to ${most}`;
  return `${scores}; when measured, such ranges contained the readers’ score in ${percent(uncertainty.coverage)} of cases`;
}

function models({ lungs, disease, service }) {
  return [
    ["Lungs", network(lungs)],
    ["Disease", network(disease)],
    ["Service", service],
  ];
}

function network({ name, architecture, encoder, sha256 }) {
  const kind = [architecture, encoder].filter(Boolean).join(", ");
  const parts = [element("span", {}, name), element("span", {}, kind)];
  if (sha256) parts.push(element("code", { title: sha256 }, `SHA-256 ${sha256.slice(0, 16)}…`));
  return element("span", { class: "stack" }, ...parts);
}

function origin({ image, request_id }) {
  const header = Object.entries(image.dicom ?? {})
    .filter(([, value]) => value !== null && String(value) !== "")
    .map(([name, value]) => [capital(name.replaceAll("_", " ")), [value].flat().join(" × ")]);
  return [
    ["Format", image.format],
    ["Size", `${image.width} × ${image.height} pixels`],
    ...header,
    ["SHA-256", element("code", {}, image.sha256)],
    ["Request id", element("code", { id: "request-id" }, request_id)],
  ];
}

function fill(list, rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined);
  list.replaceChildren(
    ...known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
}

function milliseconds(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)}\u202fms`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
