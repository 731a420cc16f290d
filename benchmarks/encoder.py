"""The image encoder: segma against transformers, the same weights and the same pixels."""

from __future__ import annotations

import sys

from programs import lineup
from programs.turns import compare


def main() -> int:
    options = lineup.parser(__doc__ or "", repeats=5).parse_args()
    name, image = lineup.picture(options)
    print(lineup.heading("image encoder", options, name, image), flush=True)
    programs = lineup.programs(options, "encoder", image=image)
    measured = compare(programs, ["encode"], repeats=options.repeats, warm_up=options.warm_up)["encode"]
    print(f"\n{lineup.speed_table(measured)}\n")
    exact = measured[lineup.THEIRS].answer
    for program, found in measured.items():
        if program != lineup.THEIRS:
            difference = float(abs(found.answer - exact).max())
            print(f"largest difference of the embedding from {lineup.THEIRS}: {difference:.2e}  {program}")
    if options.save:
        print(f"saved {lineup.save('encoder', options, name, {'encode': lineup.as_json(measured)})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
