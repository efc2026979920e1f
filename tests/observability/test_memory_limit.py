"""How much memory a process may use, by what /proc and /sys say."""

import pytest

from servable.observability import memory_limit

GIB = 1 << 30


@pytest.fixture
def root(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_without_cgroups_it_is_what_the_machine_has(tmp_path):
    assert memory_limit.usable_bytes(tmp_path) > 0
    assert memory_limit.usable_bytes(tmp_path) >= memory_limit.usable_bytes()


def test_a_cgroup_of_version_2_bounds_it_and_so_do_those_around_it(root):
    write(root, "proc/self/cgroup", "0::/pod/container\n")
    write(root, "sys/fs/cgroup/pod/container/memory.max", "max\n")
    write(root, "sys/fs/cgroup/pod/memory.max", "104857600\n")
    assert memory_limit.usable_bytes(root) == 104857600


def test_a_cgroup_of_version_1_bounds_it(root):
    write(root, "proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n")
    write(root, "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "52428800\n")
    assert memory_limit.usable_bytes(root) == 52428800


def test_a_container_that_sees_the_hosts_path_and_its_own_files_is_understood(root):
    write(root, "proc/self/cgroup", "4:memory:/docker/abc\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "52428800\n")
    assert memory_limit.usable_bytes(root) == 52428800


@pytest.mark.parametrize("text", ["max", "9223372036854771712", "", "-1", "0", "what"])
def test_what_is_no_limit_is_none(root, tmp_path, text):
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/memory.max", text)
    assert memory_limit.usable_bytes(root) == memory_limit.usable_bytes(tmp_path / "nothing")
