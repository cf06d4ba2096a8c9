from visreason.cli import main

raise SystemExit(main())
