# Builds epio on Windows and runs its tests. The last line is always
# "N passed, N failed", and the exit code 1 if anything failed.
#
# Usage: ci/test.ps1 [option of cmake...]
# Options, such as '-DVCPKG_TARGET_TRIPLET=x64-windows-static', configure the build.

. (Join-Path $PSScriptRoot 'common.ps1')

if ($args -contains '--help' -or $args -contains '-h') {
    Write-Host 'Usage: ci/test.ps1 [option of cmake...]'
    exit 0
}

$options = $args
$passed = 0
$failed = 1
Push-Location (Split-Path $PSScriptRoot)
try {
    $presets = Get-Presets
    $jobs = $env:NUMBER_OF_PROCESSORS
    $results = Join-Path (Get-Location).Path "$($presets.Directory)/results.xml"
    if (Test-Path $results) {
        Remove-Item $results
    }

    Invoke-Program 'cmake' (@('--preset', $presets.Configure, '-DEPIO_BUILD_TESTS=ON') + $options)
    Invoke-Program 'cmake' @('--build', '--preset', $presets.Build, '--parallel', $jobs)
    & ctest --preset $presets.Build --parallel $jobs --output-junit $results
    $status = $LASTEXITCODE

    $suite = ([xml](Get-Content -Raw $results)).testsuite
    $failed = [int]$suite.failures
    $passed = [int]$suite.tests - $failed - [int]$suite.disabled - [int]$suite.skipped
    if ($status -ne 0 -and $failed -eq 0) {
        $failed = 1
    }
} catch {
    Write-Host $_
} finally {
    Pop-Location
}

Write-Host "$passed passed, $failed failed"
if ($failed -gt 0) {
    exit 1
}
