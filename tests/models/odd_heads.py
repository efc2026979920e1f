"""One TF1 model whose signatures fail, each in its own way, the checks that Classify and Regress make."""

from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session


def build_odd_heads(directory):
    """Every signature takes `examples` (never parsed) and is named for what is wrong with it.

    For a batch of B: classes is [["0a", "0b"], ["1a", "1b"], ...], scores [[0, 0.5], [1, 1.5], ...], outputs
    [0, 1, ...]. The `_ok_` signatures pass every check, though some look odd; the others fail one.

    Signatures:
        classify_ok(inputs: string[?]) -> classes: string[?,2], scores: float32[?,2] @classify
        classify_ok_classes_only(inputs: string[?]) -> classes: string[?,2] @classify
        classify_ok_scores_only(inputs: string[?]) -> scores: float32[?,2] @classify
        classify_ok_zero_scores(inputs: string[?]) -> scores: float32[?,2] @classify
        classify_ok_zero_columns(inputs: string[?]) -> classes: string[?,0], scores: float32[?,0] @classify
        classify_ok_classes_and_extra(inputs: string[?]) -> classes: string[?,2], extra: float32[?,2]
            @classify
        classify_ok_extra_and_scores(inputs: string[?]) -> extra: float32[?,2], scores: float32[?,2] @classify
        classify_method_predict(inputs: string[?]) -> scores: float32[?,2] @predict
        classify_method_empty(inputs: string[?]) -> scores: float32[?,2]
        classify_no_inputs() -> scores: float32[1,2] @classify
        classify_two_inputs(extra: string[?], inputs: string[?]) -> scores: float32[?,2] @classify
        classify_input_named_x(x: string[?]) -> scores: float32[?,2] @classify
        classify_no_outputs(inputs: string[?]) -> nothing @classify
        classify_three_outputs(inputs: string[?]) -> classes: string[?,2], extra: float32[?,2],
            scores: float32[?,2] @classify
        classify_output_named_y(inputs: string[?]) -> y: float32[?,2] @classify
        classify_classes_scalar(inputs: string[?]) -> classes: string[] @classify
        classify_classes_rank_1(inputs: string[?]) -> classes: string[?] @classify
        classify_classes_int64(inputs: string[?]) -> classes: int64[?,2] @classify
        classify_classes_batch_plus_one(inputs: string[?]) -> classes: string[?,2] @classify
        classify_scores_rank_1(inputs: string[?]) -> scores: float32[?] @classify
        classify_scores_rank_3(inputs: string[?]) -> scores: float32[?,2,1] @classify
        classify_scores_double(inputs: string[?]) -> scores: float64[?,2] @classify
        classify_scores_batch_plus_one(inputs: string[?]) -> scores: float32[?,2] @classify
        classify_two_classes_three_scores(inputs: string[?]) -> classes: string[?,2],
            scores: float32[?,3] @classify
        regress_ok(inputs: string[?]) -> outputs: float32[?] @regress
        regress_ok_one_column(inputs: string[?]) -> outputs: float32[?,1] @regress
        regress_method_predict(inputs: string[?]) -> outputs: float32[?] @predict
        regress_method_empty(inputs: string[?]) -> outputs: float32[?]
        regress_no_inputs() -> outputs: float32[1] @regress
        regress_two_inputs(extra: string[?], inputs: string[?]) -> outputs: float32[?] @regress
        regress_input_named_x(x: string[?]) -> outputs: float32[?] @regress
        regress_no_outputs(inputs: string[?]) -> nothing @regress
        regress_two_outputs(inputs: string[?]) -> extra: float32[?,2], outputs: float32[?] @regress
        regress_output_named_y(inputs: string[?]) -> y: float32[?] @regress
        regress_scalar(inputs: string[?]) -> outputs: float32[] @regress
        regress_two_columns(inputs: string[?]) -> outputs: float32[?,2] @regress
        regress_rank_3(inputs: string[?]) -> outputs: float32[?,1,1] @regress
        regress_double(inputs: string[?]) -> outputs: float64[?] @regress
        regress_batch_plus_one(inputs: string[?]) -> outputs: float32[?] @regress
    """
    with tf1_session() as session:
        examples = placeholder(tf.string, [None], "examples")
        heads = _Heads(examples)
        classify = {f"classify_{key}": value for key, value in _classifiers(examples, heads).items()}
        regress = {f"regress_{key}": value for key, value in _regressors(examples, heads).items()}
        return save_tf1(session, directory, classify | regress)


class _Heads:
    """Well-made outputs for a batch, and the same for one row more."""

    def __init__(self, examples):
        batch = tf.size(examples)
        self.outputs, self.scores, self.classes = _rows(batch)
        self.more_outputs, self.more_scores, self.more_classes = _rows(batch + 1)


def _rows(count):
    numbers = tf.range(count)
    outputs = tf.cast(numbers, tf.float32)
    scores = outputs[:, tf.newaxis] + [0.0, 0.5]
    classes = tf.as_string(numbers)[:, tf.newaxis] + ["a", "b"]
    return outputs, scores, classes


def _classifiers(examples, heads):
    inputs, scores = {"inputs": examples}, {"scores": heads.scores}
    outputs = _good_classifications(heads) | _bad_classifications(heads)
    return {key: signature(inputs, tensors, "classify") for key, tensors in outputs.items()} | {
        "no_inputs": signature({}, {"scores": tf.constant([[0.0, 0.5]])}, "classify"),
        "two_inputs": signature(inputs | _extra_input(), scores, "classify"),
        "input_named_x": signature({"x": examples}, scores, "classify"),
        "method_predict": signature(inputs, scores, "predict"),
        "method_empty": signature(inputs, scores, ""),
    }


def _good_classifications(heads):
    return {
        "ok": {"classes": heads.classes, "scores": heads.scores},
        "ok_classes_only": {"classes": heads.classes},
        "ok_scores_only": {"scores": heads.scores},
        "ok_zero_scores": {"scores": tf.zeros_like(heads.scores)},
        "ok_zero_columns": {"classes": heads.classes[:, :0], "scores": heads.scores[:, :0]},
        "ok_classes_and_extra": {"classes": heads.classes, "extra": heads.scores},
        "ok_extra_and_scores": {"extra": heads.scores, "scores": heads.scores},
    }


def _bad_classifications(heads):
    three_scores = tf.concat([heads.scores, heads.scores[:, :1]], axis=1)
    return {
        "no_outputs": {},
        "three_outputs": {"classes": heads.classes, "scores": heads.scores, "extra": heads.scores},
        "output_named_y": {"y": heads.scores},
        "classes_scalar": {"classes": tf.constant("a")},
        "classes_rank_1": {"classes": heads.classes[:, 0]},
        "classes_int64": {"classes": tf.cast(heads.scores, tf.int64)},
        "classes_batch_plus_one": {"classes": heads.more_classes},
        "scores_rank_1": {"scores": heads.outputs},
        "scores_rank_3": {"scores": heads.scores[:, :, tf.newaxis]},
        "scores_double": {"scores": tf.cast(heads.scores, tf.float64)},
        "scores_batch_plus_one": {"scores": heads.more_scores},
        "two_classes_three_scores": {"classes": heads.classes, "scores": three_scores},
    }


def _regressors(examples, heads):
    inputs, outputs = {"inputs": examples}, {"outputs": heads.outputs}
    return {key: signature(inputs, tensors, "regress") for key, tensors in _regressions(heads).items()} | {
        "no_inputs": signature({}, {"outputs": tf.constant([0.0])}, "regress"),
        "two_inputs": signature(inputs | _extra_input(), outputs, "regress"),
        "input_named_x": signature({"x": examples}, outputs, "regress"),
        "method_predict": signature(inputs, outputs, "predict"),
        "method_empty": signature(inputs, outputs, ""),
    }


def _regressions(heads):
    return {
        "ok": {"outputs": heads.outputs},
        "ok_one_column": {"outputs": heads.outputs[:, tf.newaxis]},
        "no_outputs": {},
        "two_outputs": {"outputs": heads.outputs, "extra": heads.scores},
        "output_named_y": {"y": heads.outputs},
        "scalar": {"outputs": tf.reduce_sum(heads.outputs)},
        "two_columns": {"outputs": heads.scores},
        "rank_3": {"outputs": heads.outputs[:, tf.newaxis, tf.newaxis]},
        "double": {"outputs": tf.cast(heads.outputs, tf.float64)},
        "batch_plus_one": {"outputs": heads.more_outputs},
    }


def _extra_input():
    return {"extra": placeholder(tf.string, [None], "extra")}
