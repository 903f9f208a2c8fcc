/** The request of the page as a curl command. */

/** For a POSIX shell; the key itself is never in it. */
export function curlCommand(url, name, needsKey) {
  const lines = [`curl --data-binary @${quoted(name.startsWith("-") ? `./${name}` : name)}`];
  if (needsKey) lines.push(`-H "X-API-Key: $CXR_API_KEY"`);
  lines.push(quoted(url.href), "-o report.json");
  return lines.join(" \\\n  ");
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Copies an element's text; returns whether the browser did. */
export async function copyText(element) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
    }
  }
  // Pages that came without TLS have no clipboard; the selection stays for the reader to copy.
  getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}
