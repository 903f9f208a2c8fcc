"""Headless Chromium on the viewer."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.programs import program

SECONDS = 120
_DROP = """
const [encoded, name, kind] = arguments;
const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], name));
const stage = document.getElementById("stage");
const event = kind === "paste"
  ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
  : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
stage.dispatchEvent(event);
"""
_MEAN_COLOUR = """
const canvas = document.getElementById("picture");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const sums = [0, 0, 0];
for (let at = 0; at < data.length; at += 4) sums.forEach((sum, part) => (sums[part] = sum + data[at + part]));
return sums.map((sum) => (4 * sum) / data.length);
"""


class Viewer:
    """The page in a window of its own."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, width: int = 1280, height: int = 800, density: float = 1, scheme: str = "light") -> None:
        """A fresh page, with empty logs."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": density, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        preference = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(self.url)

    def __getitem__(self, id: str) -> WebElement:
        return self.driver.find_element("id", id)

    def script(self, program: str, *arguments: object) -> Any:
        return self.driver.execute_script(program, *arguments)

    def choose(self, path: Path) -> None:
        self["file"].send_keys(str(path))

    def rows(self, body: str) -> list[WebElement]:
        """Of the table with this body."""
        return self[body].find_elements("tag name", "tr")

    def bring(self, kind: str, content: bytes, name: str) -> None:
        """A file by ``drop`` or ``paste``."""
        self.script(_DROP, base64.b64encode(content).decode(), name, kind)

    def keep_downloads(self, folder: Path) -> None:
        """Stores what the page hands to the browser, without a question."""
        where = {"behavior": "allow", "downloadPath": str(folder)}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)

    def downloaded(self, path: Path) -> bytes:
        """The file, once it is whole."""
        WebDriverWait(self.driver, SECONDS).until(lambda _: path.is_file() and path.stat().st_size)
        return path.read_bytes()

    @property
    def state(self) -> str | None:
        return self["stage"].get_attribute("data-state")

    def wait(self, state: str) -> None:
        WebDriverWait(self.driver, SECONDS).until(lambda _: self.state == state)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def focused(self) -> str:
        """The id of the element with the focus."""
        return str(self.script("return document.activeElement.id"))

    def mean_colour(self) -> tuple[float, float, float]:
        """Red, green and blue over the whole picture."""
        red, green, blue = self.script(_MEAN_COLOUR)
        return (red, green, blue)

    def console(self) -> list[dict[str, Any]]:
        """What the browser complained of since the last call."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")
        return entries

    def requests(self) -> list[dict[str, Any]]:
        """All requests since the last call, whoever made them."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"] for message in messages if message["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def chromium(url: str) -> Iterator[Viewer]:
    """Debian's browser and driver, closed at exit; the test is skipped where they are missing."""
    driver_path = program("chromedriver", "chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    # Without its sandbox it also runs as root, in containers; the page is our own.
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        yield Viewer(driver, url)
    finally:
        driver.quit()
