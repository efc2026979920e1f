"""Certificates as they are read: dates and names, and bytes that are no certificate."""

import datetime
import ssl

import pytest
from cryptography import x509 as reference
from hypothesis import given
from hypothesis import strategies as st

from servable.transport import x509
from tests.process.certificates import Authority

OURS = Authority("ours")
UTC = datetime.timezone.utc


def der(identity):
    return ssl.PEM_cert_to_DER_cert(identity.certificate.decode())


def is_refused(der):
    try:
        x509.read(der)
    except ValueError:
        return True
    return False


MANY = der(
    OURS.vouch_for(
        "Grüße",
        alternative_names=[
            reference.UniformResourceIdentifier("spiffe://example.org/a"),
            reference.DNSName("a.example"),
            reference.RFC822Name("somebody@example.org"),
            reference.DNSName("good.example\0.evil.example"),
            reference.UniformResourceIdentifier("https://example.org/"),
        ],
    )
)


def test_names_are_read_by_their_kinds_and_as_they_stand_in_the_certificate():
    certificate = x509.read(MANY)
    assert certificate.uris == ("spiffe://example.org/a", "https://example.org/")
    assert certificate.dns_names == ("a.example", "good.example\0.evil.example")
    assert certificate.common_names == ("Grüße",)


def test_a_certificate_without_alternative_names_has_none():
    certificate = x509.read(der(OURS.vouch_for("one", more_names=["two"], alternative_names=())))
    assert (certificate.uris, certificate.dns_names, certificate.common_names) == ((), (), ("one", "two"))


@pytest.mark.parametrize("years", [(1960, 1999), (2000, 2049), (2049, 2050), (2020, 9998)])
def test_both_forms_of_dates_are_read(years):
    valid = tuple(datetime.datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC) for year in years)
    certificate = x509.read(der(OURS.vouch_for("one", valid=valid)))
    assert (certificate.valid_from_s, certificate.valid_until_s) == tuple(moment.timestamp() for moment in valid)


def test_the_certificate_of_a_ca_is_read():
    assert x509.read(ssl.PEM_cert_to_DER_cert(OURS.certificate.decode())).common_names == ("ours",)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(noise):
    assert is_refused(noise)


@given(at=st.integers(0, len(MANY) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(at, byte):
    is_refused(MANY[:at] + bytes([byte]) + MANY[at + 1 :])


@given(st.integers(0, len(MANY) - 1))
def test_a_certificate_that_is_cut_off_is_refused(length):
    assert is_refused(MANY[:length])
