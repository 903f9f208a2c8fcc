/** Draws the radiograph on its canvas, with what was found over it, sharp at any size. */

import { percent } from "./words.js";

const CYAN = "#00ffff";
const RED = "rgb(255 30 30)";
const YELLOW = "#ffe600";
const NOTICE = "Research use only";

export class Picture {
  #canvas;
  #stage;
  #layers = null;
  #shown = { lungs: true, zones: true, disease: true, opacity: 0.4, marked: null };

  /** ``stage`` is the box that the canvas fills as far as the radiograph's aspect ratio allows. */
  constructor(canvas, stage) {
    this.#canvas = canvas;
    this.#stage = stage;
    new ResizeObserver(() => this.#draw()).observe(stage);
  }

  /** Shows decoded layers; null shows nothing. */
  set layers(layers) {
    this.#layers?.gray.close();
    this.#layers = layers;
    this.#canvas.hidden = layers === null;
    this.#stage.style.setProperty("--aspect", layers ? layers.width / layers.height : 1);
    this.#draw();
  }

  /** Changes what is drawn: lungs, zones, disease (booleans), opacity (0 to 1), marked (a zone or null). */
  show(changes) {
    Object.assign(this.#shown, changes);
    this.#draw();
  }

  #draw() {
    if (!this.#layers) return;
    const { width, height } = this.#layers;
    const scale = Math.min(this.#stage.clientWidth / width, this.#stage.clientHeight / height);
    const dense = scale * devicePixelRatio;
    const canvas = this.#canvas;
    canvas.width = Math.max(Math.round(width * dense), 1);
    canvas.height = Math.max(Math.round(height * dense), 1);
    canvas.style.width = `${canvas.width / devicePixelRatio}px`;
    canvas.style.height = `${canvas.height / devicePixelRatio}px`;
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#layers.gray, 0, 0, canvas.width, canvas.height);
    this.#drawDisease(context, canvas);
    // Polygons go through pixel centres, which are half a pixel away from the pixels' corners.
    context.setTransform(dense, 0, 0, dense, dense / 2, dense / 2);
    this.#drawOutlines(context, dense);
    this.#write(context, dense);
  }

  #drawDisease(context, canvas) {
    const { disease, opacity } = this.#shown;
    if (!disease || !this.#layers.disease) return;
    context.globalAlpha = opacity;
    context.drawImage(this.#layers.disease, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  }

  #drawOutlines(context, dense) {
    const { lungs, zones, disease, opacity, marked } = this.#shown;
    const layers = this.#layers;
    const line = devicePixelRatio / dense;
    context.lineJoin = "round";
    if (marked) {
      context.fillStyle = "rgb(255 255 255 / 20%)";
      layers.zones.filter(({ zone }) => zone === marked).forEach(({ path }) => context.fill(path));
    }
    if (disease) {
      context.globalAlpha = Math.min(2 * opacity, 1);
      stroke(context, layers.diseaseOutline, RED, line);
      context.globalAlpha = 1;
    }
    if (lungs) stroke(context, layers.lungs, CYAN, 1.6 * line);
    if (!zones) return;
    context.setLineDash([6 * line, 4 * line]);
    stroke(context, layers.borders, CYAN, 1.4 * line);
    context.setLineDash([]);
  }

  #write(context, dense) {
    const { width, height, zones, sided } = this.#layers;
    const pixel = devicePixelRatio / dense;
    const size = Math.max(Math.max(width, height) / 38, 11 * pixel);
    if (this.#shown.zones) {
      for (const zone of zones.filter(({ share }) => share !== null)) {
        const { x, y } = zone.place;
        const [weight, colour] = zone.affected ? [700, YELLOW] : [400, "white"];
        write(context, percent(zone.share, 0), x, y, `${weight} ${size}px system-ui, sans-serif`, colour);
      }
    }
    const edge = size * 1.1;
    if (sided) {
      const font = `700 ${size * 1.15}px system-ui, sans-serif`;
      write(context, "R", edge, edge, font, "white");
      write(context, "L", width - edge, edge, font, "white");
    }
    write(context, NOTICE, width / 2, height - edge * 0.75, `400 ${size * 0.75}px system-ui, sans-serif`, "white");
  }
}

function stroke(context, path, colour, width) {
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke(path);
}

/** Writes a word centred on a point, with a dark rim that sets it off from a bright background. */
function write(context, text, x, y, font, colour) {
  context.font = font;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = parseFloat(font.split(" ")[1]) / 5;
  context.strokeStyle = "rgb(0 0 0 / 75%)";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
