"""`python -m services.analysis`."""

from services.analysis.main import main

main()
