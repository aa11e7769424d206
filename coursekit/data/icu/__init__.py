"""An intensive care room watched by a depth camera: simulated videos after Yeung et al., npj Digital Medicine 2:11,
2019.

Four activities of the patient are to be found in minutes of video with several people: get out of bed, get in bed,
get out of chair, get in chair. There are no such videos to be had, so each room is simulated: a camera under the
ceiling, a bed, a chair and equipment, a patient who follows a script, and one to four others who come and go, help,
or only seem to. Depth alone is recorded, as in the paper, because it shows what is done and not who it is.

Get out of bed begins when the trunk of the lying patient starts to rise and ends when they stand beside the bed,
upright; get in bed begins when the patient, back to the bed, starts to sit down and ends when they lie. Get out of
chair begins when the back leaves the backrest and ends upright before the chair; get in chair begins when the
patient, back to the chair, starts to sit down and ends when the back rests. Someone else who sits down in the chair
is no event: they do so only while the patient lies in bed, and look alike.

Rooms are split by number and name: room i of a part is drawn from ``stream(seed, "icu", split, i)``, so the two parts
share no room.
"""

from .room import Room
from .scene import NEARBY, Trace
from .story import ACTIVITIES
from .videos import VISIBLE, IcuSet, Video, Window, Windows, rooms, windows

__all__ = [
    "ACTIVITIES",
    "NEARBY",
    "VISIBLE",
    "IcuSet",
    "Room",
    "Trace",
    "Video",
    "Window",
    "Windows",
    "rooms",
    "windows",
]
