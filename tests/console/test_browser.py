"""The console in a real browser, over a real server: what a person sees and does."""

import json
import time

import numpy as np
import pytest
import tensorflow as tf

selenium = pytest.importorskip("selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

from servable import app  # noqa: E402
from servable.execution.loader import SavedModelLoader  # noqa: E402
from servable.options import ServerOptions  # noqa: E402
from tests.process.launching import free_port  # noqa: E402
from tests.tools import require  # noqa: E402

pytestmark = pytest.mark.timeout(300)
PATIENCE_S = 30.0
SIDE = 8
# What a page must never take for markup.
NAME = "<img src=x onerror=alert(1)><b>adds"
# Strokes by which people write digits, in shares of the canvas. The model below knows what these give, moved and
# thickened at random; a test draws one of them with the mouse.
STROKES = {
    0: [(0.5, 0.08), (0.25, 0.3), (0.25, 0.7), (0.5, 0.92), (0.75, 0.7), (0.75, 0.3), (0.5, 0.08)],
    1: [(0.35, 0.25), (0.52, 0.08), (0.52, 0.92)],
    2: [(0.28, 0.25), (0.5, 0.08), (0.7, 0.25), (0.65, 0.45), (0.28, 0.9), (0.75, 0.9)],
    3: [(0.28, 0.12), (0.6, 0.08), (0.7, 0.25), (0.45, 0.47), (0.7, 0.7), (0.6, 0.9), (0.28, 0.88)],
    4: [(0.62, 0.92), (0.62, 0.08), (0.25, 0.65), (0.8, 0.65)],
    5: [(0.72, 0.08), (0.32, 0.08), (0.3, 0.45), (0.65, 0.48), (0.68, 0.8), (0.3, 0.92)],
    6: [(0.65, 0.1), (0.35, 0.45), (0.32, 0.8), (0.55, 0.92), (0.7, 0.72), (0.5, 0.55), (0.33, 0.68)],
    7: [(0.25, 0.1), (0.75, 0.1), (0.42, 0.92)],
    8: [(0.5, 0.48), (0.3, 0.28), (0.5, 0.08), (0.7, 0.28), (0.28, 0.75), (0.5, 0.93), (0.72, 0.75), (0.5, 0.48)],
    9: [(0.68, 0.35), (0.45, 0.5), (0.3, 0.3), (0.5, 0.08), (0.68, 0.3), (0.62, 0.92)],
}


def draw(strokes, rng):
    """An image of [SIDE, SIDE], from 0 to 1: ink within a pen's width of the lines, moved and scaled at random."""
    points = np.array(strokes) * rng.uniform(0.85, 1.05, 2) + rng.uniform(-0.05, 0.08, 2)
    starts, ends = points[:-1, None, :], points[1:, None, :]
    axis = (np.arange(32) + 0.5) / 32
    pixels = np.stack(np.meshgrid(axis, axis), -1).reshape(1, -1, 2)
    along = np.clip(((pixels - starts) * (ends - starts)).sum(-1) / ((ends - starts) ** 2).sum(-1), 0, 1)
    distance = np.linalg.norm(pixels - (starts + along[..., None] * (ends - starts)), axis=-1).min(0)
    ink = (distance < rng.uniform(0.045, 0.075)).reshape(SIDE, 32 // SIDE, SIDE, 32 // SIDE)
    return ink.mean((1, 3))


class Digits(tf.Module):
    """Least squares on drawn digits: `image` float32 [-1, 8, 8] to `digit` and `probabilities`."""

    def __init__(self):
        rng = np.random.default_rng(3)
        images = np.array([draw(STROKES[digit], rng) for digit in range(10) for _ in range(150)])
        features = np.c_[images.reshape(len(images), -1), np.ones(len(images))]
        wanted = np.repeat(np.eye(10), 150, 0)
        weights = np.linalg.solve(features.T @ features + 0.1 * np.eye(features.shape[1]), features.T @ wanted)
        self.weights, self.bias = (
            tf.Variable(weights[:-1], dtype=tf.float32),
            tf.Variable(weights[-1], dtype=tf.float32),
        )

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE], tf.float32, "image")])
    def __call__(self, image):
        scores = tf.reshape(image, [-1, SIDE * SIDE]) @ self.weights + self.bias
        return {"digit": tf.argmax(scores, 1), "probabilities": tf.nn.softmax(10 * scores)}


class Adds(tf.Module):
    """`x` plus a number; it fails for negative ones."""

    def __init__(self, number):
        self.number = tf.Variable(float(number))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def __call__(self, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, message="x must not be negative")]):
            return {"y": x + self.number}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tf.saved_model.save(Digits(), str(folder / "digits" / "1"))
    tf.saved_model.save(Adds(1), str(folder / NAME / "1"))
    (folder / "broken" / "1").mkdir(parents=True)
    (folder / "broken" / "1" / "saved_model.pb").write_bytes(b"none")
    return folder


@pytest.fixture(scope="module")
def address(models):
    entries = "".join(
        f"config {{ name: '{path.name}' base_path: '{path}' model_platform: 'tensorflow' }}"
        for path in models.iterdir()
    )
    config = models.parent / "models.config"
    config.write_text(f"model_config_list {{ {entries} }}")
    port = free_port()
    options = ServerOptions(
        model_config_file=str(config),
        port=free_port(),
        rest_api_port=port,
        bind_address="127.0.0.1",
        max_num_load_retries=0,
        file_system_poll_wait_seconds=1,
    )
    server = app.Server(app.configure(options), SavedModelLoader())
    server.start()
    yield f"http://127.0.0.1:{port}/"
    server.stop()


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = require("chromium")
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1400"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(require("chromedriver")))
    yield driver
    driver.quit()


class Page:
    """The console as a person uses it."""

    def __init__(self, driver, address):
        self.driver = driver
        driver.get_log("browser")
        driver.get(address)
        self.wait(lambda: self.texts("#models button"))

    def wait(self, condition):
        return WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _driver: condition())

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        read = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText)"
        return self.driver.execute_script(read, selector)

    def choose(self, name):
        # In one step: the list is made anew when a version changes.
        buttons = "[...document.querySelectorAll('#models button')]"
        self.driver.execute_script(f"{buttons}.find((button) => button.innerText.includes(arguments[0])).click()", name)
        self.wait(lambda: any(name in title for title in self.texts("#detail h2")))

    def send(self, body):
        editor = self.find("textarea")
        editor.clear()
        editor.send_keys(json.dumps(body))
        self.find("button.main").click()

    def answer(self):
        return "\n".join(self.texts(".answer"))

    def complaints(self):
        """What the browser has logged, but for the server's own errors."""
        entries = [entry["message"] for entry in self.driver.get_log("browser")]
        return [entry for entry in entries if "responded with a status of 4" not in entry]


@pytest.fixture
def page(browser, address):
    page = Page(browser, address)
    yield page
    assert page.complaints() == []


@pytest.mark.parametrize("digit", [3, 7])
def test_a_digit_that_is_drawn_with_the_mouse_is_read(page, digit):
    page.choose("digits")
    canvas = page.find("canvas")
    width, height = canvas.size["width"], canvas.size["height"]
    spots = [((x - 0.5) * width, (y - 0.5) * height) for x, y in STROKES[digit]]
    mouse = ActionChains(page.driver, duration=30).move_to_element_with_offset(canvas, *spots[0]).click_and_hold()
    for spot in spots[1:]:
        mouse.move_to_element_with_offset(canvas, *spot)
    mouse.release().perform()
    page.find("button.main").click()
    page.wait(lambda: page.texts(".answer .value") == [str(digit)])
    assert page.texts(".bars .first") == [str(digit)]


def test_the_request_is_shown_as_other_programs_send_it(page, address):
    page.choose("digits")
    for title, part in (
        ("curl", f"curl '{address}v1/models/digits/versions/1:predict'"),
        ("grpcurl", "grpcurl -plaintext"),
        ("Python", "client.predict("),
    ):
        next(tab for tab in page.driver.find_elements(By.CSS_SELECTOR, "[role=tab]") if tab.text == title).click()
        assert part in page.texts("pre")[-1]


def test_an_error_of_a_model_is_shown(page):
    page.choose("adds")
    page.send({"inputs": {"x": [-1.0]}})
    page.wait(lambda: "x must not be negative" in page.answer())
    page.send({"inputs": {"x": [2.0]}})
    page.wait(lambda: page.texts(".answer .value") == ["3"])


def test_names_are_text_whatever_they_hold(page):
    page.choose(NAME)
    assert page.driver.find_elements(By.CSS_SELECTOR, "nav b, h2 b, #detail img") == []


def test_a_model_that_fails_to_load_shows_its_error(page):
    page.choose("broken")
    page.wait(lambda: any("saved_model.pb" in text for text in page.texts(".error")))
    assert "nothing to try" in page.find("#detail").text


def test_a_new_version_is_followed_and_what_was_typed_stays_until_then(page, models):
    page.choose("adds")
    tf.saved_model.save(Adds(10), str(models.parent / "next"))
    (models.parent / "next").rename(models / NAME / "2")
    page.wait(lambda: page.texts("select option")[:1] == ["2"])
    page.send({"inputs": {"x": [2.0]}})
    page.wait(lambda: page.texts(".answer .value") == ["12"])


def test_the_charts_move_while_requests_come(page):
    page.choose("digits")

    def has_rate():
        return any(digit in page.texts("output")[0] for digit in "123456789")

    deadline_s = time.monotonic() + PATIENCE_S
    while not has_rate() and time.monotonic() < deadline_s:
        page.find("button.main").click()
        page.wait(lambda: page.texts(".answer .value"))
    assert has_rate()
    assert "ms" in page.texts("output")[1] or "µs" in page.texts("output")[1]
    assert page.find("#charts path.first").get_attribute("d").startswith("M")


def test_it_works_by_the_keyboard_alone(page):
    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()

    def press_tab_until(condition):
        for _ in range(60):
            press(Keys.TAB)
            if page.driver.execute_script(f"return {condition}"):
                return
        raise AssertionError(condition)

    press_tab_until(
        "document.activeElement.matches('#models button') && document.activeElement.innerText.includes('digits')"
    )
    press(Keys.ENTER)
    page.wait(lambda: page.texts("#detail h2") == ["digits"])
    press_tab_until("document.activeElement.tagName === 'CANVAS'")
    before = page.find("textarea").get_attribute("value")
    press(Keys.ARROW_UP, Keys.ARROW_UP, Keys.SPACE)
    assert page.find("textarea").get_attribute("value") != before
    press_tab_until("document.activeElement.innerText === 'Predict'")
    press(Keys.ENTER)
    page.wait(lambda: page.texts(".answer .value"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colors_follow_the_system(page, scheme):
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    color = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (min(map(int, color[4:-1].split(", "))) > 200) is (scheme == "light")


def test_on_a_phone_nothing_is_wider_than_the_screen(page):
    page.choose("digits")
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
