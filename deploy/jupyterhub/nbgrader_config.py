"""nbgrader for everybody on the server: where work is handed in, and from where. It goes to /etc/jupyter."""

from pathlib import Path

c = get_config()
course = Path.home() / "course"  # the instructor's
if (course / "nbgrader_config.py").exists():
    load_subconfig(str(course / "nbgrader_config.py"))
    c.CourseDirectory.root = str(course)  # so that the formgrader finds it from their home
c.CourseDirectory.course_id = "medical_images_3d_video"
c.Exchange.root = "/srv/nbgrader/exchange"
assignments = Path.home() / "medical-images" / "assignments"  # where the link of the guide puts them
if assignments.is_dir():
    c.Exchange.assignment_dir = str(assignments)
