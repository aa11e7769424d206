# Each is one line for what `python3 course.py …` does on every system.
PYTHON ?= python3

.PHONY: lab test grade site student
lab:
	@$(PYTHON) course.py lab
test:
	@$(PYTHON) course.py test
grade:
	@$(PYTHON) course.py grade $(ASSIGNMENT)
site:
	@$(PYTHON) course.py site
student:
	@$(PYTHON) course.py student
