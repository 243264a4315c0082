from siked_ray.driver.failures import as_siked_error
from siked_ray.errors import StageError


def test_what_was_raised_on_purpose_in_an_actor_is_told_without_rays_traceback():
    from ray.exceptions import RayTaskError

    wrapped = RayTaskError("generate", "Traceback …", StageError("the server refuses the key")).as_instanceof_cause()
    assert str(as_siked_error(wrapped, "logs")) == "the server refuses the key"


def test_what_ray_data_writes_under_a_message_is_not_told():
    from ray.data._internal.util import iterate_with_retry

    def refuses():
        raise StageError("the prompt is too long")
        yield

    def breaks():
        raise KeyError
        yield

    for task, says in ((refuses, "the prompt is too long"), (breaks, "The run stopped: KeyError:  (details in logs).")):
        try:
            list(iterate_with_retry(task, "apply UDF transform", max_attempts=1))
        except Exception as error:
            assert "attempts" in str(error), "Ray Data writes something else now"
            told = str(as_siked_error(error, "logs"))
            assert told.startswith(says) and "attempts" not in told
