"""Train one task set, or sweep over many: `python run.py --help` lists what can be set."""

import hydra

from mtl.config import build, commandline


@hydra.main(config_path="conf", config_name="config", **build.hydra_options())
def main(config):  # noqa: ANN001, ANN201, D103
    from mtl.experiment import run

    return commandline.run_job(run, config)


if __name__ == "__main__":
    commandline.launch(main)
