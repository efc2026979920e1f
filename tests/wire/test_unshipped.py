"""Our contract against the tables of what no wheel ships."""

import pytest

from servable import wire
from tests.wire import facts
from tests.wire.unshipped import ENUMS, MESSAGES, SERVICES


@pytest.mark.behaviour("1.2", "messages that no wheel ships are those of the table")
@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_has_the_fields_of_the_table(name):
    assert list(facts.fields(wire.POOL.FindMessageTypeByName(name)).values()) == MESSAGES[name]


@pytest.mark.behaviour("1.2", "messages that no wheel ships are those of the table")
@pytest.mark.parametrize("name", ENUMS)
def test_an_enum_has_the_values_of_the_table(name):
    assert facts.values(wire.POOL.FindEnumTypeByName(name)) == ENUMS[name]


@pytest.mark.behaviour("1.2", "messages that no wheel ships are those of the table")
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_methods_of_the_table(name):
    assert facts.methods(wire.POOL.FindServiceByName(name)) == SERVICES[name]
