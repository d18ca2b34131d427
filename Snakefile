# As `include:` does, and its default target is ours too.
workflow.include("workflow/Snakefile", overwrite_default_target=True)
