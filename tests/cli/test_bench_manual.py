"""The manual's bench commands, run as they stand there; only the port, the folder of maps, the search
and how long to look are ours."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.bench_helpers import chargepoint
from tests.end_to_end.agent_helpers import charger

MANUAL = (Path(__file__).parents[2] / "drivers" / "README.md").read_text("utf-8")
SECTION = MANUAL[MANUAL.index("### Ten minutes at the bench") : MANUAL.index("### Words for the whole file")]
COMMANDS = [line.split("#")[0].split()[1:] for line in re.findall(r"^chargepoint .*$", SECTION, re.MULTILINE)]
MORE = {"bus scan": ("--units", "1-3"), "map test": ("--for-s", "1")}
SAID = {
    "map list": "eastron_sdm630",
    "bus scan": "Acme M3 (map acme_m3): model code is 340",
    "map check": "ok, a meter map with 3 values",
    "map test": "all values make sense",
    "meter read": "Energy.Active.Import.Register",
    "evse read": "the agent sees: pilot A",
    "evse offer": "taken back: pilot A",
    "doctor": "0 failed",
}


async def test_each_command_of_the_manual_does_what_it_says(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    (maps / "meter").mkdir(parents=True)
    example = re.search(r"```toml\n(vendor.*?)```", MANUAL, re.DOTALL)
    assert example is not None
    (maps / "meter" / "acme_m3.toml").write_text(example[1])
    told: dict[str, str] = {}
    async with charger("2.0.1", start=False, meter_map="acme_m3", service=f'maps_dir = "{maps}"') as c:
        for words in COMMANDS:
            verb = " ".join(words[:2]) if words[0] != "doctor" else "doctor"
            ours = [str(maps / "meter" / "acme_m3.toml") if word.endswith("acme_m3.toml") else word for word in words]
            ours = [str(c.folder / "bus1") if word == "/dev/ttyUSB0" else word for word in ours]
            ours = [str(tmp_path / word) if word == "commissioning.txt" else word for word in ours]
            ours = ["1" if before == "--for-s" else word for before, word in zip(["", *ours], ours, strict=False)]
            if verb == "doctor":
                ours += ["--config", str(c.config)]
            elif verb != "map check":
                ours += ["--maps-dir", str(maps)]
            done = await chargepoint(*ours, *MORE.get(verb, ()), typed="y\n")
            assert done.code == 0, f"{words}: {done.out}{done.err}"
            told[verb] = done.out
    assert told.keys() == SAID.keys()
    assert {verb: text for verb, text in SAID.items() if text not in told[verb]} == {}
    assert (tmp_path / "commissioning.txt").read_text() == told["doctor"]
