# Builds epio optimized on Windows and runs every benchmark of epio-bench, which
# takes a few minutes: one JSON object a line in build/bench.json. There is no
# baseline for Windows to compare them with.
#
# Usage: ci/bench.ps1 [option of epio-bench...]
# Options, such as --rounds 3 or --path DIRECTORY, go to each benchmark.

. (Join-Path $PSScriptRoot 'common.ps1')

if ($args -contains '--help' -or $args -contains '-h') {
    Write-Host 'Usage: ci/bench.ps1 [option of epio-bench...]'
    Write-Host 'Builds epio and runs every benchmark; the results are in build/bench.json.'
    exit 0
}

$options = $args
Push-Location (Split-Path $PSScriptRoot)
try {
    $presets = Get-Presets -Release
    # In a directory of its own: in that of the preset the tests would stay off.
    Invoke-Program 'cmake' @('--preset', $presets.Configure, '-B', 'build/bench', '-DEPIO_BUILD_TESTS=OFF')
    Invoke-Program 'cmake' @('--build', 'build/bench', '--config', 'RelWithDebInfo')

    $program = "./build/bench/bench/$($presets.Configuration)/epio-bench.exe"
    $lines = foreach ($command in @('peers', 'durable', 'scale', 'overhead', 'compare')) {
        & $program $command --json @options
        if ($LASTEXITCODE -ne 0) {
            throw "epio-bench $command ended with $LASTEXITCODE"
        }
    }
    $lines | Set-Content -Encoding ascii 'build/bench.json'
    $lines | Out-Host
    Write-Host 'As JSON: build/bench.json'
} finally {
    Pop-Location
}
