def write_report() -> None:
    return
