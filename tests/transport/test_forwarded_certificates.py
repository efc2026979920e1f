"""`x-forwarded-client-cert`: whom trusted proxies call for, and what forgers get."""

import hashlib
import ssl
import time
from urllib.parse import quote

import pytest
from cryptography.x509 import UniformResourceIdentifier
from hypothesis import given
from hypothesis import strategies as st

from servable.errors import InvalidArgument
from servable.transport.forwarded_certificates import HEADER, identities_of, parse, parse_trusted
from tests.process.certificates import Authority

PROXY, EDGE, ALICE = "spiffe://example.org/proxy", "spiffe://example.org/edge", "spiffe://example.org/alice"
ADMIN = "spiffe://example.org/admin"
TRUSTED = frozenset({PROXY, EDGE})
HASH = "0a" * 32


def element(uri=None, **more):
    """What Envoy writes."""
    pairs = {"By": PROXY, "Hash": HASH, **({} if uri is None else {"URI": uri}), **more}
    return ";".join(f"{key}={value}" for key, value in pairs.items())


def names(*headers, peer=(PROXY,), trusted=TRUSTED):
    metadata = [("user-agent", "test"), *((HEADER, header) for header in headers)]
    return list(identities_of(peer, metadata, trusted))


def test_a_trusted_proxy_says_who_calls():
    subject = '"CN=alice,OU=Users,O=\\"Example\\, Inc.\\""'
    assert names(element(ALICE, Subject='"CN=alice,O=Example"', DNS="alice.example")) == [
        ALICE,
        "alice.example",
        "alice",
    ]
    assert names(element(ALICE, Subject=subject)) == [ALICE]


@pytest.mark.parametrize("peer", [(ALICE,), (), ("proxy",), (PROXY + "2",)])
def test_the_header_of_anyone_else_is_ignored(peer):
    assert names(element(ADMIN), peer=peer) == list(peer)


def test_without_trusted_proxies_nobody_is_believed():
    assert names(element(ADMIN), trusted=frozenset()) == [PROXY]


def test_what_the_client_of_a_proxy_made_up_names_nobody():
    assert names(f"{element(ADMIN)},{element(ALICE)}") == []
    assert names(element(ADMIN), element(ALICE)) == []
    assert names(f"{element(ADMIN)},{element(ALICE)},{element(EDGE)}") == []


def test_a_chain_of_trusted_proxies_names_the_first_caller():
    assert names(f"{element(ALICE)},{element(EDGE)}") == [ALICE]
    assert names(element(ALICE), element(EDGE), element(PROXY)) == [ALICE]


@pytest.mark.parametrize("headers", [[], [""], [element(EDGE)], [element()], [element("")]])
def test_a_trusted_proxy_that_names_nobody_calls_for_nobody(headers):
    assert names(*headers) == []


@pytest.mark.parametrize(
    "header",
    [
        ",", ";", "x", "=", "URI", f"URI={ADMIN}", f"Hash=;URI={ADMIN}", f"Hash=zz;URI={ADMIN}",
        f"Hash={HASH};Hash={HASH};URI={ADMIN}", f"Hash={HASH};URI={ADMIN};", f"Hash={HASH};URI={ADMIN},",
        f'Hash={HASH};URI={ADMIN};Subject="CN=a', f'Hash={HASH};URI={ADMIN};Subject="CN=a"b',
        f'Hash={HASH};URI="{ADMIN}""',
        f"Hash={HASH};URI={ADMIN};URI={ALICE}", f"Hash={HASH};URI={ADMIN} x", f"Hash={HASH};;URI={ADMIN}",
        f"Hash={HASH};URI=*;DNS=*.example.org", f"Hash={HASH};URI={ADMIN}\0",
    ],
)  # fmt: skip
def test_a_header_that_envoy_would_not_write_names_nobody(header):
    assert names(header) == []


@pytest.mark.parametrize("uri", ["https://a.example/", PROXY, ALICE])
@pytest.mark.parametrize(
    "rest",
    [f",URI={ADMIN}", f",{element(ADMIN)}", f";URI={ADMIN}", f",By={ADMIN};Hash={HASH};URI={PROXY},{element(ADMIN)}"],
)
def test_a_certificate_whose_uri_pretends_to_be_an_element_does_not_name_another(uri, rest):
    assert ADMIN not in names(element(uri + rest))


def with_certificate(identity, uri):
    """What Envoy writes with `cert: true`."""
    pem = identity.certificate.decode()
    hash_ = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    return element(uri, Cert=f'"{quote(pem, safe="")}"').replace(HASH, hash_)


def test_names_are_read_from_the_certificate_where_there_is_one():
    identity = Authority("ours").vouch_for("alice", alternative_names=[UniformResourceIdentifier(ALICE)])
    right = with_certificate(identity, ADMIN)
    assert names(right) == [ALICE, "alice"]
    assert names(right.replace("CERTIFICATE", "X")) == []
    assert names(right.replace("Hash=", "Hash=00")) == []
    assert names(right.replace(right.split("Hash=")[1][:64], HASH)) == []
    assert names(right.replace(";URI", ";Cert=;URI")) == []
    assert names(right.replace("%0A", "%0")) == []


def test_with_certificates_even_names_that_pretend_to_be_elements_name_nobody_else():
    uri = f"{PROXY},Hash={HASH};URI={PROXY}"
    identity = Authority("ours").vouch_for("mallory", alternative_names=[UniformResourceIdentifier(uri)])
    assert names(f"{element(ADMIN)},{with_certificate(identity, uri)}") == []
    uri = f"{ALICE};DNS=admin.example"
    identity = Authority("ours").vouch_for("mallory", alternative_names=[UniformResourceIdentifier(uri)])
    assert names(with_certificate(identity, uri)) == ["mallory"]


def test_quoted_separators_belong_to_the_value():
    subject = f'"CN=a,O=x;URI={ADMIN},Hash={HASH};URI={ADMIN}"'
    assert names(element(ALICE, Subject=subject)) == [ALICE, "a"]
    assert names(element(ALICE, Subject=f'"O=\\",By=x;Hash={HASH};URI={ADMIN};Subject=\\""')) == [ALICE]


@pytest.mark.parametrize(
    "subject",
    ["CN=a\\,CN=admin", "CN=admin,CN=b", 'O=\\"x,CN=admin,y\\"', "CN=#0c0561646d696e", "/CN=admin", "", "O=CN=admin"],
)
def test_a_subject_that_is_not_plain_names_nobody(subject):
    assert names(element(Subject=f'"{subject}"')) == []


def test_keys_are_of_any_case_and_spaces_may_stand_between_elements():
    assert names(f"hash={HASH};uri={ALICE}, HASH={HASH};URI={EDGE} ") == [ALICE]


def test_binary_metadata_and_other_names_are_not_read():
    metadata = [(HEADER + "-bin", b"x"), (HEADER, element(ADMIN).encode()), ("x-forwarded-for", element(ADMIN))]
    assert list(identities_of((PROXY,), metadata, TRUSTED)) == []


@pytest.mark.parametrize(
    "header",
    [
        "a=" * 40_000,
        "a=b;" * 16_000,
        "a=b," * 16_000,
        f"{element(EDGE)}," * 300,
        " " * 60_000,
        "a=" + " " * 60_000 + '"',
        'a="' + "\\" * 60_000,
        "a" * 60_000,
    ],
    ids=[
        "no separators",
        "many pairs",
        "many elements",
        "many proxies",
        "spaces",
        "spaces in a value",
        "escapes",
        "a long key",
    ],
)
def test_a_long_header_takes_little_time(header):
    began_s = time.monotonic()
    assert names(header) == []
    assert time.monotonic() - began_s < 1


KEYS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
PLAIN = st.text(st.characters(codec="ascii", exclude_characters='",;\\'), max_size=20).map(str.strip)
QUOTED = st.text(st.characters(codec="latin-1", exclude_characters='"\\\n\r'), max_size=20)


@given(st.lists(st.lists(st.tuples(KEYS, PLAIN | QUOTED), min_size=1, max_size=5), min_size=1, max_size=5))
def test_what_is_written_is_read(elements):
    def write(value):
        return f'"{value}"' if set(value) & set(",; ") or not value.isprintable() or value.startswith('"') else value

    header = ",".join(";".join(f"{key}={write(value)}" for key, value in pairs) for pairs in elements)
    expected = []
    for pairs in elements:
        expected.append({})
        for key, value in pairs:
            expected[-1].setdefault(key, []).append(value if write(value) != value else value.strip())
    assert parse(header) == expected


FORGERIES = st.lists(
    st.sampled_from(['"', ",", ";", "=", "\\", "Hash=" + HASH, f"URI={ADMIN}", 'Subject="', "By=", "CN=admin", " "])
).map("".join)


@given(st.text(max_size=100) | FORGERIES)
def test_a_client_cannot_change_what_its_proxy_appends(forged):
    """What a client sent stands left of a comma; at worst the whole cannot be read."""
    for written, expected in (
        (element(ALICE), [ALICE]),
        (element(ALICE, Subject='"CN=alice,O=x"'), [ALICE, "alice"]),
        (element(ALICE, Subject='""'), [ALICE]),
    ):
        assert names(f"{forged},{written}") in (expected, [])
        assert names(forged, written) in (expected, [])


@given(st.text(max_size=200))
def test_no_header_raises(header):
    names(header)


def test_trusted_names_are_read_from_the_flag():
    assert parse_trusted("") == frozenset()
    assert parse_trusted(f"{PROXY}, Proxy.Example,the proxy") == {PROXY, "proxy.example", "the proxy"}


@pytest.mark.parametrize("text", [",", "a,", "spiffe://example.org", "spiffe://*/proxy", "*.example", "a b/*"])
def test_a_name_that_nobody_can_have_is_refused_with_advice_that_helps(text):
    with pytest.raises(InvalidArgument) as caught:
        parse_trusted(text)
    example = "spiffe://example.org/ns/edge/sa/envoy"
    assert f"such as {example}" in caught.value.message
    assert parse_trusted(f"{example},{PROXY}") == {example, PROXY}
