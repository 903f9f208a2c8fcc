/** Decodes a report's pictures and polygons once, so that they can be drawn often. */

const RED = [255, 30, 30];

/**
 * What the service found, ready to draw. Paths are in the radiograph's own pixels and go through pixel centres.
 *
 * Throws a DOMException where a picture cannot be decoded.
 */
export async function decodeLayers(report) {
  const { masks, radiograph, image } = report;
  const scored = report.quality.scorable;
  const gray = await bitmap(radiograph);
  const mask = await bitmap(masks.disease, { resizeWidth: gray.width, resizeHeight: gray.height });
  return {
    width: image.width,
    height: image.height,
    gray,
    // Disease that was not scored is not shown as a finding.
    disease: scored ? tinted(mask, RED) : null,
    diseaseOutline: path(scored ? masks.disease.contours : []),
    lungs: path(masks.lungs.contours),
    borders: path(borders(masks.zones), false),
    zones: report.zones
      .filter(({ zone }) => masks.zones[zone])
      .map(({ zone, share, affected }) => ({
        zone,
        share: scored ? share : null,
        affected,
        path: path(masks.zones[zone]),
        place: roomiest(masks.zones[zone]),
      })),
    // Sides are known only if the picture is considered a frontal chest radiograph.
    sided: scored,
  };
}

/** The picture of an answer, decoded. */
export async function bitmap({ media_type, data }, options = {}) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: media_type }), options);
}

/** A canvas with the colour where the mask is white, transparent elsewhere. */
function tinted(mask, [red, green, blue]) {
  const canvas = document.createElement("canvas");
  canvas.width = mask.width;
  canvas.height = mask.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(mask, 0, 0);
  mask.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    const inside = pixels.data[at];
    pixels.data.set([red, green, blue, inside], at);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function path(lines, closed = true) {
  const drawn = new Path2D();
  for (const line of lines) {
    line.forEach(([x, y], index) => (index ? drawn.lineTo(x, y) : drawn.moveTo(x, y)));
    if (closed) drawn.closePath();
  }
  return drawn;
}

/** Lines between the zones of a lung, which are cut along rows. */
function borders(zones) {
  const lines = [];
  for (const side of ["right", "left"]) {
    for (const [upper, lower] of [["upper", "middle"], ["middle", "lower"]]) {
      const [above, below] = [zones[`${side}_${upper}`], zones[`${side}_${lower}`]];
      if (above && below) lines.push(border(above.flat(), below.flat()));
    }
  }
  return lines;
}

function border(above, below) {
  const y = Math.min(...below.map((point) => point[1])) - 0.5;
  const across = [...above, ...below].filter((point) => Math.abs(point[1] - y) < 2).map(([x]) => x);
  return [[Math.min(...across), y], [Math.max(...across), y]];
}

/** The point in a zone with the most horizontal room for a word. */
function roomiest(polygons) {
  const context = document.createElement("canvas").getContext("2d");
  const outline = path(polygons);
  const points = polygons.flat();
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const steps = 64;
  let best = { room: 0, x: (left + right) / 2, y: (top + bottom) / 2 };
  // Near the middle first: a point further away is chosen only if it has more room.
  for (const share of [0.45, 0.35, 0.55, 0.25]) {
    const y = top + (bottom - top) * share;
    let begun = null;
    for (let step = 0; step <= steps + 1; step += 1) {
      const x = left + ((right - left) * step) / steps;
      const inside = step <= steps && context.isPointInPath(outline, x, y);
      if (inside) begun ??= x;
      if (!inside && begun !== null) {
        if (x - begun > best.room * 1.2) best = { room: x - begun, x: (x + begun) / 2, y };
        begun = null;
      }
    }
  }
  return best;
}
