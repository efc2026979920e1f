"""The page in a real browser: what a person does and sees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from google.protobuf import json_format
from selenium.webdriver import ActionChains, Keys
from tensorflow_serving.apis import classification_pb2, predict_pb2

from tests import serving as stubs
from tests.console.browser import DRAWING, ONE, THREE, Browser, browsing, colours, contrast, emulate
from tests.console.serving import DIGITS, PATIENCE_S, add_version, serving
from tests.models.exporting import save_tf2, tf

ODD = "<script>document.title='taken'</script> & größe/☃"
IMAGE_SIDE = 32
SINGLE = ".output .single"


class Tricks(tf.Module):
    """Signatures that the other models lack."""

    @tf.function(input_signature=[tf.TensorSpec([None, IMAGE_SIDE, IMAGE_SIDE, 3], tf.uint8, name="photo")])
    def mean_colour(self, photo):
        return {"colour": tf.reduce_mean(tf.cast(photo, tf.float32), axis=[1, 2])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="file")])
    def count_bytes(self, file):
        return {"count": tf.strings.length(file)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def odd_numbers(self, x):
        big = tf.fill(tf.shape(x), tf.constant(2**62 + 1, tf.int64))
        return {"nothing": x / 0.0 - x / 0.0, "big": big, "text": tf.fill(tf.shape(x), "<img src=x onerror=alert(1)>")}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def fails(self, x):
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(x > 0), ["x must be <b>positive</b>"])]):
            return {"y": tf.identity(x)}


@pytest.fixture(scope="module")
def base_paths(models, tmp_path_factory):
    root = tmp_path_factory.mktemp("base_paths")
    tricks = Tricks()
    signatures = {name: getattr(tricks, name) for name in ("mean_colour", "count_bytes", "odd_numbers", "fails")}
    save_tf2(tricks, root / "tricks" / "1", signatures)
    add_version(DIGITS / "1", root / "digits", 1)
    add_version(models.version_path("truncated_variables"), root / "broken", 4)
    add_version(models.version_path("half_plus_two"), root / "half", 123)
    return {
        "digits": root / "digits",
        "tricks": root / "tricks",
        "broken": root / "broken",
        "half": root / "half",
        ODD: root / "half",
    }


@pytest.fixture(scope="module")
def served(base_paths):
    with serving(base_paths, labels={"digits": {"stable": 1}}) as served:
        yield served


@pytest.fixture(scope="module")
def chromium():
    with browsing() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser):
    """The browser, which at the end must have had nothing to complain about."""
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []
    assert chromium.driver.title == "servable"


def visit(browser, served, model, signature=None):
    browser.open("about:blank")
    browser.open(served.url)
    browser.click("#models .name", model)
    browser.wait_for_text("#model h2", model)
    if signature:
        browser.click(".signature-head .choices button", signature)
        browser.wait(lambda: signature in browser.texts('.signature-head [aria-pressed="true"]'))


def run(browser):
    browser.click(".primary")


def test_a_three_that_is_drawn_with_the_mouse_is_read_as_3(browser, served):
    visit(browser, served, "digits")
    browser.draw(THREE)
    browser.wait_for_text(SINGLE, "3")
    assert browser.texts(".bars .is-largest .label") == ["3"]
    assert len(browser.texts(".bars li")) == 10


def test_what_is_drawn_is_what_is_classified(browser, served):
    visit(browser, served, "digits")
    browser.draw(ONE)
    browser.wait_for_text(SINGLE, "1")
    # The server says the same of the pixels that stand in the form.
    pixels = json.loads(browser.find("textarea").get_property("value"))
    assert np.shape(pixels) == (1, 8, 8)
    assert served.post("/v1/models/digits:predict", {"inputs": pixels})["outputs"]["digit"] == [1]


def test_a_drawing_is_cleared(browser, served):
    visit(browser, served, "digits")
    browser.draw(THREE)
    browser.wait_for_text(SINGLE, "3")
    browser.click(".drawing-side button", "Clear")
    assert not np.any(json.loads(browser.find("textarea").get_property("value")))


def test_a_model_is_tried_by_keyboard_alone(browser, served):
    """A one: the pen goes up to the top, down, and along to the foot; found and sent by Tab, arrows and Space."""
    visit(browser, served, "half")
    browser.driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    tab_to(browser, lambda focus: focus.text.startswith("digits"))
    browser.press(Keys.ENTER)
    browser.wait_for_text("#model h2", "digits")
    tab_to(browser, lambda focus: focus.tag_name == "canvas")
    browser.press(Keys.SPACE, *[Keys.ARROW_DOWN] * 16, Keys.SPACE)
    browser.wait_for_text(SINGLE, "1")
    tab_to(browser, lambda focus: focus.text == "Run")
    browser.press(Keys.SPACE)
    browser.wait_for_text(SINGLE, "1")
    assert tabs_back_to(browser, "textarea")


def tabs_back_to(browser, tag):
    ActionChains(browser.driver, duration=0).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    return browser.wait(lambda: browser.focus().tag_name == tag)


def tab_to(browser, is_wanted, most=60):
    for _ in range(most):
        if is_wanted(browser.focus()):
            # What has the focus can be seen.
            assert browser.focus().value_of_css_property("outline-style") == "solid"
            return
        browser.press(Keys.TAB)
    pytest.fail("cannot be reached by Tab")


def test_a_version_swap_is_followed_and_what_was_typed_stays(chromium, base_paths, tmp_path):
    base_path = tmp_path / "digits"
    add_version(DIGITS / "1", base_path, 1)
    with serving({"digits": base_path}) as served:
        visit(chromium, served, "digits")
        chromium.draw(THREE)
        chromium.wait_for_text(SINGLE, "3")
        drawn = chromium.find("textarea").get_property("value")
        add_version(DIGITS / "1", base_path, 2)
        chromium.wait(lambda: chromium.driver.find_elements("css selector", 'tr.is-tried[data-version="2"]'))
        chromium.wait(lambda: {"available", "end"} == set(chromium.texts(".versions .state")))
        assert chromium.find("textarea").get_property("value") == drawn
        run(chromium)
        chromium.wait(lambda: any("version 2," in text for text in chromium.texts(".send .muted")))
        chromium.wait(lambda: "/versions/2:predict" in chromium.texts(".snippets code")[0])
        assert chromium.complaints() == []


def test_a_load_that_failed_says_why(browser, served):
    visit(browser, served, "broken")
    assert browser.texts(".versions .state") == ["failed"]
    assert "cannot be restored" in browser.texts(".error-row")[0]
    assert browser.texts(".empty") == ["No version of this model serves now."]


def test_a_run_that_fails_shows_its_error_as_text(chromium, served):
    visit(chromium, served, "tricks", "fails")
    run(chromium)
    error = chromium.wait(lambda: chromium.texts('.result [role="alert"]'))[0]
    assert error.startswith("HTTP 400")
    assert "x must be <b>positive</b>" in error
    # The browser logs each reply that is an error, and nothing else.
    assert all("the server responded with a status of 400" in each for each in chromium.complaints())


def test_what_is_no_json_is_told_and_not_sent(browser, served):
    visit(browser, served, "half")
    browser.type_over("textarea", "[1, oops]")
    run(browser)
    error = browser.wait(lambda: browser.texts('.result [role="alert"]'))[0]
    assert error.startswith("Not sent\nx: This is no JSON")


def test_names_that_are_markup_are_text(browser, served):
    visit(browser, served, ODD)
    browser.type_over("textarea", "[[4.0]]")
    run(browser)
    browser.wait_for_text(SINGLE, "4")
    assert browser.driver.find_elements("css selector", "#models script, main script") == []


def test_values_that_javascript_would_spoil_are_shown_as_they_are(browser, served):
    visit(browser, served, "tricks", "odd_numbers")
    run(browser)
    browser.wait_for_text('[data-output="big"] .single', str(2**62 + 1))
    assert browser.texts('[data-output="nothing"] .single') == ["NaN"]
    assert browser.texts('[data-output="text"] .single') == ["<img src=x onerror=alert(1)>"]


def test_an_image_is_scaled_to_the_input(browser, served, tmp_path):
    visit(browser, served, "tricks", "mean_colour")
    browser.find('input[type="file"]').send_keys(str(write_ppm_like(browser, tmp_path)))
    rows = browser.wait(lambda: browser.texts('[data-output="colour"] td'))
    assert [float(cell) for cell in rows] == pytest.approx([255, 128, 0], abs=1)


def write_ppm_like(browser, folder):
    """A PNG of one colour, 50 x 20, which the browser itself makes."""
    data = browser.driver.execute_script(
        """const canvas = document.createElement("canvas");
        Object.assign(canvas, { width: 50, height: 20 });
        const context = canvas.getContext("2d");
        context.fillStyle = "rgb(255 128 0)";
        context.fillRect(0, 0, 50, 20);
        return [...atob(canvas.toDataURL().split(",")[1])].map((byte) => byte.charCodeAt(0));"""
    )
    path = folder / "orange.png"
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2", "|u1", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_npy_file_is_taken_for_an_input(browser, served, tmp_path, dtype, order):
    image = np.zeros((8, 8), dtype)
    image[1:7, 3:5] = 15
    visit(browser, served, "digits")
    path = tmp_path / "image.npy"
    np.save(path, np.asarray(image, order=order))
    browser.find('input[type="file"]').send_keys(str(path))
    browser.wait_for_text(SINGLE, "1")
    assert np.array_equal(json.loads(browser.find("textarea").get_property("value"))[0], image)


def test_a_file_that_is_no_array_is_refused(browser, served, tmp_path):
    visit(browser, served, "half")
    path = tmp_path / "image.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00\xff\xffrubbish")
    browser.find('input[type="file"]').send_keys(str(path))
    browser.wait_for_text(".note.is-error", "This .npy file holds no plain numbers")


def test_a_file_becomes_a_string(browser, served, tmp_path):
    visit(browser, served, "tricks", "count_bytes")
    path = tmp_path / "bytes.bin"
    path.write_bytes(bytes(range(256)))
    browser.find('input[type="file"]').send_keys(str(path))
    browser.wait_for_text('[data-output="count"] .single', "256")


def test_classes_are_bars(browser, served):
    visit(browser, served, "digits", "classify")
    pixels = [0.0, 0.0, 0.0, 15.0, 15.0, 0.0, 0.0, 0.0] * 8
    browser.type_over("textarea", json.dumps([{"image": pixels}]))
    run(browser)
    browser.wait(lambda: browser.texts(".bars .is-largest .label") == ["1"])


def test_the_snippets_send_the_same_request(browser, served):
    """Each is run as it stands: the pixels of a drawing, in a model of an odd name."""
    visit(browser, served, ODD)
    browser.type_over("textarea", "[[4.0], [5.5]]")
    run(browser)
    browser.wait(lambda: browser.texts('[data-output="y"] td') == ["4", "4.75"])
    snippets = {title: browser.snippet(title) for title in ("curl", "grpcurl", "Python")}
    if shutil.which("curl"):
        reply = json.loads(run_command(["sh", "-c", snippets["curl"].replace("curl", "curl -s", 1)]))
        assert reply == {"outputs": [[4.0], [4.75]]}
    assert "4.75" in run_command([sys.executable, "-W", "ignore", "-c", snippets["Python"]])
    message = re.fullmatch(
        rf"grpcurl -plaintext -d '(.*)' {served.grpc_address} tensorflow.serving.PredictionService/Predict",
        snippets["grpcurl"].replace("'\\''", "\0"),
    )[1].replace("\0", "'")
    request = json_format.Parse(message, predict_pb2.PredictRequest())
    assert np.allclose(tf.make_ndarray(stub(served).Predict(request, PATIENCE_S).outputs["y"]), [[4.0], [4.75]])


def test_examples_keep_their_types_in_the_snippets(browser, served):
    visit(browser, served, "half", "regress_x_to_y")
    browser.type_over("textarea", '[{"x": 4.0}]')
    message = browser.wait(lambda: re.search(r"-d '(.*)' ", browser.snippet("grpcurl")))[1]
    request = json.loads(message)
    assert request["input"]["example_list"]["examples"] == [
        {"features": {"feature": {"x": {"float_list": {"value": [4]}}}}}
    ]
    assert json_format.Parse(message, classification_pb2.ClassificationRequest()).model_spec.name == "half"


def stub(served):
    return stubs.connect(served.server, served.grpc_address).prediction


def run_command(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_charts_follow_the_load(browser, served):
    visit(browser, served, "half")
    browser.wait(lambda: re.fullmatch(r"CPU cores: [\d.]+", label(browser, "CPU cores")))
    for _ in range(20):
        served.post("/v1/models/half:predict", {"instances": [[1.0]]})
    browser.wait(lambda: re.search(r"p50 [\d.]+ m?s, p99 [\d.]+ m?s", label(browser, "Latency")))
    browser.wait(lambda: "L" in browser.find('.plot svg[aria-label^="Requests/s"] .line').get_attribute("d"))
    assert re.fullmatch(r"Memory: [\d.]+ [MG]B", label(browser, "Memory"))


def label(browser, title):
    return browser.find(f'.plot svg[aria-label^="{title}"]').get_attribute("aria-label")


def test_the_versions_of_a_model_have_their_labels_and_loads(browser, served):
    visit(browser, served, "digits")
    row = " ".join(browser.find('tr[data-version="1"]').text.split())
    assert re.fullmatch(r"1 available stable [\d.]+ s [\d.]+ MB", row)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(browser, served, scheme):
    emulate(browser, prefers_color_scheme=scheme)
    visit(browser, served, "digits")
    browser.draw(THREE)
    browser.wait_for_text(SINGLE, "3")
    _, ground = colours(browser, "body")
    assert (sum(ground) > 380) == (scheme == "light")
    for selector in [
        "h2",
        ".muted",
        ".pill",
        ".primary",
        ".tag",
        ".state",
        "textarea",
        ".share",
        ".key.series-1",
        ".drop",
    ]:
        assert contrast(*colours(browser, selector)) >= 4.5, selector
    emulate(browser, prefers_color_scheme="light")


def test_nothing_is_wider_than_a_phone(served):
    with browsing() as browser:
        metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        visit(browser, served, "digits")
        browser.find(DRAWING)
        assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_a_script_from_elsewhere_cannot_run(chromium, served):
    visit(chromium, served, "digits")
    inserted = """
    const script = document.createElement("script");
    try {
      script.textContent = "document.title = 'taken'";
    } catch (error) {
      return error.name;
    }
    document.head.append(script);
    """
    assert chromium.driver.execute_script(inserted) == "TypeError"
    assert chromium.driver.title == "servable"
    assert any("TrustedScript" in each for each in chromium.complaints())


def test_pages_that_are_left_or_hidden_let_go_of_their_connections(browser, served):
    """A browser has six to a server, so that the seventh page could not be loaded."""
    visit(browser, served, "half")
    first = browser.driver.current_window_handle
    for _ in range(7):
        browser.driver.switch_to.new_window("tab")
        browser.open(served.url)
        browser.wait_for_text("#connection", "live")
        browser.find(".primary")
    for handle in browser.driver.window_handles:
        if handle != first:
            browser.driver.switch_to.window(handle)
            browser.driver.close()
    browser.driver.switch_to.window(first)


def test_the_page_says_that_the_server_has_gone(chromium, base_paths):
    with serving({"half": base_paths["half"]}) as served:
        visit(chromium, served, "half")
        chromium.wait_for_text("#connection", "live")
    chromium.wait_for_text("#connection", "no connection")
    chromium.open("about:blank")
    chromium.complaints()
