# Each is one line for what `python3 course.py …` does on every system.
PYTHON ?= python3

.PHONY: lab test grade site slides pdf student
lab:
	@$(PYTHON) course.py lab
test:
	@$(PYTHON) course.py test
grade:
	@$(PYTHON) course.py grade $(ASSIGNMENT)
site:
	@$(PYTHON) course.py site
slides:
	@$(PYTHON) course.py slides
pdf:
	@$(PYTHON) course.py pdf $(LECTURE)
student:
	@$(PYTHON) course.py student
