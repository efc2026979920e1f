"""A real Chromium without a window, and what a person does in it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests import tools

# No test waits longer for what it wants to see.
PATIENCE_S = 30.0
DRAWING = "canvas.drawing"
# A three as people draw it, in the unit square.
_TOP = [(0.28, 0.2), (0.45, 0.12), (0.62, 0.2), (0.62, 0.36)]
_BOTTOM = [(0.62, 0.56), (0.66, 0.72), (0.5, 0.86), (0.28, 0.78)]
THREE = [*_TOP, (0.48, 0.46), *_BOTTOM]
ONE = [(0.36, 0.3), (0.52, 0.12), (0.52, 0.88)]


class Browser:
    """One browser. What it looks for is found by CSS selectors, and waited for."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def wait(self, condition: Callable[[], Any]) -> Any:
        """What a condition gives as soon as that is true. Elements that are replaced meanwhile are looked for again."""
        return WebDriverWait(self.driver, PATIENCE_S, 0.02, _TRANSIENT).until(lambda _: condition())

    def find(self, selector: str) -> Any:
        """The first element."""
        return self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector))[0]

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements, now."""
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until an element has a text."""
        self.wait(lambda: text in self.texts(selector))

    def click(self, selector: str, text: str | None = None) -> None:
        """Click the element of a text, or the first one."""

        def click() -> bool:
            found = self.driver.find_elements(By.CSS_SELECTOR, selector)
            wanted = [each for each in found if text is None or each.text == text]
            if wanted:
                wanted[0].click()
            return bool(wanted)

        self.wait(click)

    def type_over(self, selector: str, text: str) -> None:
        """Replace the text of a field."""
        self.find(selector).send_keys(Keys.CONTROL, "a", Keys.NULL, text)

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def draw(self, points: Sequence[tuple[float, float]]) -> None:
        """Draw one stroke with the mouse."""
        canvas = self.find(DRAWING)
        width, height = canvas.size["width"], canvas.size["height"]
        (first, *others) = [(int((x - 0.5) * width), int((y - 0.5) * height)) for x, y in points]
        chain = ActionChains(self.driver, duration=10).move_to_element_with_offset(canvas, *first).click_and_hold()
        for place in others:
            chain.move_to_element_with_offset(canvas, *place)
        chain.release().perform()

    def snippet(self, title: str) -> str:
        """The snippet of a title, as it would be copied."""
        self.click(".snippet-head .choices button", title)
        self.wait(lambda: self.texts('.snippet-head [aria-pressed="true"]') == [title])
        return str(self.find(".snippets code").get_property("textContent"))

    def focus(self) -> Any:
        """The element that has the focus."""
        return self.driver.switch_to.active_element

    def complaints(self) -> list[str]:
        """What the browser's console has to say: violations of the policy, errors of scripts, requests that failed."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"]


def _transient() -> tuple[type[Exception], ...]:
    from selenium.common import exceptions

    return exceptions.StaleElementReferenceException, exceptions.ElementNotInteractableException


_TRANSIENT = _transient()


@contextlib.contextmanager
def browsing(width: int = 1280, height: int = 1000) -> Iterator[Browser]:
    """Yields a browser. Without Chromium the test is skipped."""
    chromium, driver = tools.require("chromium"), tools.require("chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", f"window-size={width},{height}"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(chrome)
    finally:
        chrome.quit()


def emulate(browser: Browser, **media: str) -> None:
    """Let the browser prefer something (`prefers-color-scheme`, with underscores)."""
    features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def colours(browser: Browser, selector: str) -> tuple[list[float], list[float]]:
    """The colours of an element's text and of the ground behind it, as lists of red, green and blue."""
    script = """
    const style = (element) => getComputedStyle(element);
    let ground = document.querySelector(arguments[0]);
    const text = style(ground).color;
    while (style(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
    return JSON.stringify([parts(text), parts(style(ground).backgroundColor)]);
    """
    text, ground = json.loads(browser.driver.execute_script(script, selector))
    return text, ground


def contrast(text: Sequence[float], ground: Sequence[float]) -> float:
    """The contrast of two colours (WCAG 2, contrast ratio)."""

    def luminance(colour: Sequence[float]) -> float:
        parts = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    bright, dark = sorted((luminance(text), luminance(ground)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
