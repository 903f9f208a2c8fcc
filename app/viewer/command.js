/** Shows the page's request as a curl command. */

/** The command for a POSIX shell; it never contains the key itself. */
export function curlCommand(url, name, needsKey) {
  const lines = [`curl --data-binary @${quoted(name.startsWith("-") ? `./${name}` : name)}`];
  if (needsKey) lines.push(`-H "X-API-Key: $CXR_API_KEY"`);
  lines.push(quoted(url.href), "-o report.json");
  return lines.join(" \\\n  ");
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Copies an element's text to the clipboard; returns whether that worked. */
export async function copyText(element) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
    }
  }
  // Pages loaded without TLS have no clipboard; the text stays selected for the reader to copy.
  getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}
