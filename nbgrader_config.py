"""nbgrader, for this course: what grading counts on (``coursegrade/settings.py``), and what is the course's own."""

from coursegrade.settings import settings

c = get_config()
c.merge(settings())
c.CourseDirectory.course_id = "medical_images_3d_video"
