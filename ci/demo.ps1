# From a clone to the running example, on Windows: builds and runs
# examples/async_io.c. With vcpkg, what is missing is built too.
#
# Usage: ci/demo.ps1

. (Join-Path $PSScriptRoot 'common.ps1')

if ($args.Count -gt 0) {
    Write-Host 'Usage: ci/demo.ps1'
    Write-Host 'Builds epio without tests, and runs examples/async_io.'
    if ($args[0] -eq '--help' -or $args[0] -eq '-h') {
        exit 0
    }
    exit 2
}

Push-Location (Split-Path $PSScriptRoot)
try {
    $presets = Get-Presets -Release
    # In a directory of its own: in that of the preset the tests would stay off.
    Invoke-Program 'cmake' @('--preset', $presets.Configure, '-B', 'build/demo', '-DEPIO_BUILD_TESTS=OFF')
    Invoke-Program 'cmake' @('--build', 'build/demo', '--config', 'RelWithDebInfo')
    Invoke-Program "./build/demo/examples/$($presets.Configuration)/async_io.exe" @()
} finally {
    Pop-Location
}
