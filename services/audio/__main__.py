"""`python -m services.audio`."""

from services.audio.main import main

main()
