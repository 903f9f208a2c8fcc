/** What the page says: the service's codes in plain words. */

/** A name for each quality flag, by code, and what the flag means for the result. */
export const FLAGS = {
  not_chest: [
    "Not a chest radiograph",
    "The picture or its header does not look like a chest radiograph, so there is no score.",
  ],
  not_frontal: [
    "Not a frontal view",
    "A score needs both lungs side by side, as a frontal radiograph shows them.",
  ],
  view_unknown: [
    "View not stated",
    "The file does not say from which direction it was taken. A frontal view is assumed.",
  ],
  burned_in_annotation: [
    "Writing in the pixels",
    "The file says that its pixels contain writing, perhaps a name. Every picture made from it shows that too.",
  ],
  for_processing: [
    "Not processed for reading",
    "The file holds the detector’s raw values, before the maker’s processing. The networks were fitted on processed radiographs, as readers see them: send that version.",
  ],
  damaged_header: [
    "Header and pixels disagree",
    "Pixels have more bits than the header says: their values may be wrong, or other data are stored with them. Look at the picture before you trust the result.",
  ],
  inverted_polarity: [
    "Negative",
    "Air looks bright and bones dark. It is scored only with the polarity “Correct if inverted”, which inverts it back.",
  ],
  rotated: ["Turned", "The chest lies on its side or upside down, so there is no score. Send it upright."],
  mirrored: [
    "Perhaps mirrored",
    "The heart seems to be on the wrong side, so the picture may be mirrored. If it is, right and left are exchanged in everything shown here; the score is still valid.",
  ],
  lungs_cut_off: [
    "Lungs cut off",
    "A lung reaches the edge of the picture. What lies beyond is not counted.",
  ],
  over_exposed: ["Over-exposed", "Detail in the lungs may be lost in black. Read the shares with care."],
  under_exposed: ["Under-exposed", "Detail in the lungs may be lost in white. Read the shares with care."],
  low_contrast: ["Low contrast", "The picture has few gray levels. Detail may be missing."],
  low_resolution: ["Low resolution", "The picture has few pixels. The lungs’ texture may be missing."],
  lungs_not_found: ["No lungs found", "There is nothing to score."],
  single_lung: ["One lung found", "A score needs both lungs, so there is none."],
  lungs_merged: ["Lungs touch", "They were found as one area and cut apart near the middle."],
  borderline: [
    "Near the threshold",
    "A zone’s share is so close to the threshold that a small change would change the score.",
  ],
};

/** What to do about each problem, by code. */
export const ADVICE = {
  empty_file: "Choose another file: this one is empty.",
  invalid_parameter: "Correct the threshold or the polarity, then analyse again.",
  unauthorised: "Enter an API key below. The operator of the service gives them out.",
  upload_too_large: "Store it with lossless compression, or ask the operator for a higher limit.",
  unsupported_format: "Choose a DICOM, PNG, JPEG, TIFF or BMP file.",
  unreadable_image: "The file may be damaged or cut off. Export it again.",
  image_too_large: "Export it with fewer pixels.",
  image_too_small: "Choose the radiograph itself, not its thumbnail.",
  different_patients: "Choose two radiographs of the same patient.",
  unsupported_dicom: "Choose a DICOM object with one gray frame: computed or digital radiography, or secondary capture.",
  internal: "Report this to the operator with the request id.",
  overloaded: "Wait a moment, then try again.",
  not_ready: "The service is starting or ending. Wait a moment, then try again.",
  deadline_exceeded: "The service is busy. Wait a moment, then try again.",
  unreachable: "Check the network and that the service is running. A file over the service’s limit can also end the connection.",
};

/** A name for each result that can be downloaded, by its name in service.js. */
export const DOWNLOADS = {
  seg: "Segmentation",
  sr: "Structured Report",
  sc: "Capture",
  pr: "Presentation State",
  fhir: "FHIR",
  text: "Text",
  json: "JSON",
};

export const ZONES = {
  right_upper: "right upper",
  right_middle: "right middle",
  right_lower: "right lower",
  left_upper: "left upper",
  left_middle: "left middle",
  left_lower: "left lower",
};

/** The service's steps, in their order; ``total`` includes the waits between them. */
export const STEPS = {
  receive: "Receiving",
  decode: "Decoding",
  prepare: "Preparing",
  queue: "Waiting for the device",
  lungs: "Lung network",
  between: "Cropping the lungs",
  disease: "Disease network",
  score: "Scoring",
  render: "Drawing",
  total: "Total",
};

/** 0.123 as “12.3 %”, with a non-breaking space. */
export function percent(share, places = 1) {
  return `${(share * 100).toFixed(places)}\u202f%`;
}

/** 1234567 as “1.2 MB”. */
export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  return count < 1e6 ? `${Math.round(count / 1e3)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
