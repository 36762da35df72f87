"""The shared vocabulary: every table complete, every form read back."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.core import durations, ids
from mirror_realm.core.errors import MAX_RETRY_DELAY, POLICIES, Code, ErrorRecord, RealmError, retry_delay
from mirror_realm.core.references import FileRef, file_uri, local_path
from mirror_realm.core.resources import Gpu, Resources
from mirror_realm.core.settings import load_settings
from mirror_realm.core.status import (
    INSTANCE_TRANSITIONS,
    NODE_TRANSITIONS,
    PREFECT_STATES,
    InstanceStatus,
    NodeStatus,
    check_instance_transition,
    check_node_transition,
)


class TestErrors:
    def test_every_code_has_a_policy(self):
        assert set(POLICIES) == set(Code)

    @pytest.mark.parametrize(
        ("code", "delays"),
        [
            (Code.TRANSIENT_ERROR, 3),
            (Code.RESOURCE_EXHAUSTED, 5),
            (Code.NODE_EXECUTION_TIMEOUT, 2),
            (Code.DEPENDENCY_FAILURE, 3),
            (Code.INVALID_ARGUMENT, 0),
            (Code.DATA_CORRUPTED, 0),
        ],
    )
    def test_the_retries_of_the_specification(self, code, delays):
        assert len(POLICIES[code].delays) == delays
        assert POLICIES[code].retryable is bool(delays)

    @given(st.sampled_from(Code), st.integers(-3, 12))
    def test_a_delay_is_bounded_and_only_within_the_retries(self, code, retry):
        delay = retry_delay(code, retry)
        assert (delay is not None) == (1 <= retry <= len(POLICIES[code].delays))
        assert delay is None or 0 < delay <= MAX_RETRY_DELAY

    @given(st.sampled_from(Code), st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.integers()))
    def test_a_record_is_read_back(self, code, message, hint, details):
        record = ErrorRecord(code, message, hint, details)
        assert ErrorRecord.from_dict(record.to_dict()) == record

    def test_an_unknown_code_from_elsewhere(self):
        assert ErrorRecord.from_dict({"code": "WHAT", "message": "x"}).code is Code.UNKNOWN

    def test_an_error_keeps_everything_between_processes(self):
        error = RealmError(Code.NOT_FOUND, "照片", hint="look", details={"a": [1]})
        again = pickle.loads(pickle.dumps(error))
        assert again.record == error.record
        assert str(again) == "NOT_FOUND: 照片"
        assert again.user_fault


class TestStatus:
    @pytest.mark.parametrize("status", list(InstanceStatus))
    def test_instances(self, status):
        for new in InstanceStatus:
            if new in INSTANCE_TRANSITIONS[status]:
                check_instance_transition(status, new)
            else:
                with pytest.raises(RealmError, match=f"cannot become {new}"):
                    check_instance_transition(status, new)

    @pytest.mark.parametrize("status", list(NodeStatus))
    def test_nodes(self, status):
        for new in NodeStatus:
            if new in NODE_TRANSITIONS[status]:
                check_node_transition(status, new)
            else:
                with pytest.raises(RealmError):
                    check_node_transition(status, new)

    def test_what_is_terminal_reopens_only_by_a_retry(self):
        for status in InstanceStatus:
            if status.terminal:
                assert INSTANCE_TRANSITIONS[status] == {InstanceStatus.RETRYING}

    def test_every_status_has_a_prefect_state(self):
        values = {str(status) for status in PREFECT_STATES}
        assert {str(s) for s in (*InstanceStatus, *NodeStatus)} <= values


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("300s", 300), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172800), ("1w", 604800), ("10", 10),
            (" 1 h 5 m ", 3900), ("PT5M", 300), ("P1DT1H", 90000), ("pt0.5s", 0.5), (7, 7), (1.5, 1.5), ("0", 0),
        ],
    )  # fmt: skip
    def test_accepted(self, text, seconds):
        assert durations.parse_duration(text) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "soon",
            "-5s",
            "5 parsecs",
            "PT",
            "P",
            "1h-5m",
            "5s5",
            "infs",
            True,
            -1,
            float("nan"),
            float("inf"),
        ],
    )
    def test_refused_with_a_sentence_that_helps(self, text):
        with pytest.raises(ValueError, match="write for example"):
            durations.parse_duration(text)

    @given(st.integers(0, 10**8))
    def test_whole_seconds_are_read_back(self, seconds):
        assert durations.parse_duration(durations.format_duration(seconds)) == seconds
        assert durations.parse_duration(durations.iso_duration(seconds)) == seconds


class TestReferences:
    @given(st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1).filter(
        lambda name: name not in (".", "..")
    ))  # fmt: skip
    def test_any_file_name_survives_its_uri(self, name):
        path = Path("/nas") / name
        assert local_path(file_uri(path)) == path

    @pytest.mark.parametrize("uri", ["http://x/y", "s3://b/k", "file://elsewhere/x"])
    def test_what_is_not_here_is_refused(self, uri):
        with pytest.raises(RealmError, match="not a file on this machine"):
            local_path(uri)

    def test_a_reference_needs_a_digest(self):
        with pytest.raises(ValueError, match="sha256"):
            FileRef(uri="file:///x", sha256="no", size=1, name="x")


class TestResources:
    def test_the_gpu_part_counts_only_where_it_gets_one(self):
        wish = Resources(gpu=Gpu.PREFERRED, gpu_memory_mb=8, accelerator="nvidia-h100", custom={"X": 2})
        assert wish.dask(gpu=False) == {"CPU_MILLIS": 1000, "MEMORY_MB": 512, "X": 2}
        assert wish.dask(gpu=True)["ACCELERATOR:nvidia-h100"] == 1
        assert wish.model_copy(update={"gpu_share": 0.25}).dask(gpu=True)["GPU"] == 0.25
        assert wish.model_copy(update={"gpu_share": 0.25, "gpu_count": 2}).dask(gpu=True)["GPU"] == 2
        assert "GPU" not in Resources().dask(gpu=True)


class TestSettings:
    def test_variables_win_over_the_file(self, tmp_path):
        (tmp_path / "realm.toml").write_text('workers = 3\ns3_region = "cn-north-1"\nroots = ["/nas"]\n')
        loaded = load_settings({"MIRROR_REALM_HOME": str(tmp_path), "MIRROR_REALM_WORKERS": "5"})
        assert (loaded.workers, loaded.s3_region, loaded.roots) == (5, "cn-north-1", (Path("/nas"),))
        assert loaded.database == f"sqlite:///{tmp_path / 'realm.db'}"

    @pytest.mark.parametrize(
        ("content", "named"),
        [("workers = -1", "realm.toml: workers"), ("wrokers = 1", "wrokers"), ("a = [", "TOML")],
    )
    def test_a_bad_file_is_named(self, tmp_path, content, named):
        (tmp_path / "realm.toml").write_text(content)
        with pytest.raises(RealmError, match=named):
            load_settings({"MIRROR_REALM_HOME": str(tmp_path)})

    def test_a_bad_variable_is_named(self, tmp_path):
        with pytest.raises(RealmError, match="MIRROR_REALM_MAX_PIXELS"):
            load_settings({"MIRROR_REALM_HOME": str(tmp_path), "MIRROR_REALM_MAX_PIXELS": "many"})

    def test_secrets_do_not_show(self, tmp_path):
        loaded = load_settings({"MIRROR_REALM_HOME": str(tmp_path), "MIRROR_REALM_S3_SECRET_KEY": "geheim"})
        assert "geheim" not in repr(loaded)


@pytest.mark.parametrize(
    ("kind", "form"), [("workflow", r"wf-[0-9a-f]{8}"), ("instance", r"inst-[0-9a-f]{12}")]
)
def test_ids_have_the_forms_of_the_specification(kind, form):
    import re

    made = {ids.new_id(kind) for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(form, one) for one in made)
