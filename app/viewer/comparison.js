/** Shows two radiographs of one patient side by side, and what changed between them. */

import { bitmap } from "./layers.js";
import { element, sentence } from "./report.js";
import { ZONES, percent } from "./words.js";

const $ = (id) => document.getElementById(id);

/** Shows a comparison; null shows none. */
export async function showComparison(comparison) {
  $("comparison").hidden = true;
  $("pair").replaceChildren();
  tellComparison("");
  if (!comparison) return;
  const figures = await Promise.all([
    figure("Earlier", comparison.earlier),
    figure("Later, the radiograph above", comparison.later),
  ]);
  $("pair").replaceChildren(...figures);
  $("changes").replaceChildren(...comparison.change.zones.map((change) => row(change, comparison)));
  $("comparison").hidden = false;
  tellComparison(summary(comparison.change));
}

/** Says how the comparison is going. */
export function tellComparison(words) {
  $("comparing").textContent = words;
}

/** The change in one sentence. */
function summary({ score, zones }) {
  if (score === null) return "Not compared: one of the radiographs has no score.";
  const beyond = zones.filter(({ exceeds_repeat }) => exceeds_repeat).map(({ zone }) => ZONES[zone]);
  const scores = score === 0 ? "The score is the same." : `The score changed by ${signed(score)}.`;
  return beyond.length
    ? `${scores} Beyond what a repeat would explain: ${beyond.join(", ")}.`
    : `${scores} No zone changed beyond what a repeat would explain.`;
}

async function figure(title, report) {
  const picture = await bitmap(report.overlay);
  const canvas = element("canvas", { role: "img", "aria-label": `${title}: ${sentence(report)}` });
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  const score = report.score === null ? "no score" : `score ${report.score}`;
  return element("figure", {}, canvas, element("figcaption", {}, `${title}: ${score}`));
}

function row({ zone, change, exceeds_repeat }, { earlier, later }) {
  const shares = [earlier, later].map((report) => report.zones.find((one) => one.zone === zone).share);
  const cells = change === null ? ["–", "–", "–"] : [...shares.map((share) => percent(share)), points(change)];
  const beyond = { true: "yes", false: "no" }[exceeds_repeat] ?? "unknown";
  return element(
    "tr",
    exceeds_repeat ? { class: "affected" } : {},
    element("th", { scope: "row" }, ZONES[zone]),
    ...[...cells, beyond].map((text) => element("td", {}, text)),
  );
}

function points(change) {
  return signed((change * 100).toFixed(1));
}

function signed(number) {
  return Number(number) > 0 ? `+${number}` : String(number).replace("-", "−");
}
