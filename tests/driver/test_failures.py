from siked_ray.driver.failures import as_siked_error
from siked_ray.errors import StageError


def test_what_was_raised_on_purpose_in_an_actor_is_told_without_rays_traceback():
    from ray.exceptions import RayTaskError

    wrapped = RayTaskError("generate", "Traceback …", StageError("the server refuses the key")).as_instanceof_cause()
    assert str(as_siked_error(wrapped, "logs")) == "the server refuses the key"
