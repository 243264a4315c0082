"""`siked status` on what a killed run leaves."""

from siked_ray.cli import main
from siked_ray.config import dump_config
from siked_ray.data import run_directory as names
from siked_ray.data.storage import Storage


def test_a_damaged_sign_of_life_is_no_sign_of_life(make_config, capsys):
    config = make_config()
    storage = Storage(config.run_dir)
    storage.write_text(names.CONFIG, dump_config(config))
    storage.write_text(names.PROGRESS, "")
    assert main(["status", config.run_dir]) == 0
    assert "not started" in capsys.readouterr().out
