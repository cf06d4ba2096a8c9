"""What people look at: plots and the HTML report of runs. Nothing is trained or scored here."""
